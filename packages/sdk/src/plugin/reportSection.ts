/** @file Sections of reports, as data. */

import type { ComparedMeasurement } from '../statistics/verdict.ts';

/** A section of the report as data; the report decides on its appearance. */
export type ReportSection = { readonly title: string; readonly text?: string } & (
  | { readonly kind: 'gallery'; readonly pictures: readonly ReportPicture[] }
  | {
      readonly kind: 'table';
      /** Column headings. */
      readonly columns: readonly string[];
      /** One cell per column. */
      readonly rows: readonly (readonly (string | number)[])[];
      /** Held-out measurements of baselines in the table, by name; the run's verdict compares the adapter with them. */
      readonly baselines?: Readonly<Record<string, ComparedMeasurement>>;
    }
  | {
      readonly kind: 'clips';
      readonly clips: readonly ReportClip[];
      /** Labels of the marks, where the texts are not speech. */
      readonly marks?: Readonly<Partial<Record<ReportMark, string>>>;
    }
  | ({ readonly kind: 'scatter' } & ReportChart)
  | ({ readonly kind: 'lines' } & ReportChart)
  | ({ readonly kind: 'histogram' } & ReportHistogram)
  | ({ readonly kind: 'heatmap' } & ReportHeatmap)
  | { readonly kind: 'letters'; readonly rows: readonly ReportLetters[] }
  | { readonly kind: 'logo'; readonly x: string; readonly y: string; readonly columns: readonly ReportLogoColumn[] }
);

/** A picture with a caption, such as an image with its predicted mask. */
export interface ReportPicture {
  /** The bytes of a PNG, JPEG or WebP file. */
  readonly image: Uint8Array;
  /** Alternative text. */
  readonly alt: string;
  /** The caption. */
  readonly caption: string;
  /** Shown larger, for several images in one picture. */
  readonly isWide?: boolean;
}

/** How a piece of text compares with the reference. */
export type ReportMark = 'wrong' | 'missing' | 'extra';

/** Aligned lines of text, such as a reference and its transcript, optionally with the recording. */
export interface ReportClip {
  /** The heading, such as the recording's name. */
  readonly title: string;
  /** The bytes of a WAV file. */
  readonly audio?: Uint8Array;
  /** The texts, one below the other, aligned by piece. */
  readonly lines: readonly {
    /** Label of the line: `said`, `heard before`. */
    readonly label: string;
    /** Its pieces. */
    readonly pieces: readonly {
      readonly text: string;
      /** How it compares: `wrong`, `missing` or `extra`. */
      readonly mark?: ReportMark;
      /** Class of the piece, such as `LOC`, shown next to it in its own colour. */
      readonly label?: string;
    }[];
  }[];
}

/** Points or lines in two dimensions, one colour per series. */
export interface ReportChart {
  /** Label of the horizontal axis. */
  readonly x: string;
  /** Label of the vertical axis. */
  readonly y: string;
  /** Points `[x, y]` by series; `name` appears in the legend. */
  readonly series: readonly { readonly name: string; readonly points: readonly (readonly [x: number, y: number])[] }[];
  /** Draws the line x = y and gives both axes one scale, such as for predicted against true values. */
  readonly diagonal?: boolean;
}

/** A histogram. */
export interface ReportHistogram {
  /** Label of the horizontal axis. */
  readonly x: string;
  /** Edges of the bins, one more than there are bins. */
  readonly borders: readonly number[];
  /** Count of each bin. */
  readonly counts: readonly number[];
}

/** A matrix of numbers, such as the effect of each substitution at each position. */
export interface ReportHeatmap {
  /** Label of the columns. */
  readonly x: string;
  /** Label of the rows. */
  readonly y: string;
  /** Names of the rows, from the top. */
  readonly rows: readonly string[];
  /** Names of the columns, from the left. */
  readonly columns: readonly string[];
  /** Values by row, then column; null for none. */
  readonly values: readonly (readonly (number | null)[])[];
  /** Neutral value of a diverging colour scale. Without it the scale goes from the least value to the largest. */
  readonly centre?: number;
  /** Marked cells as `[row, column]`, such as the residues of the wild type. */
  readonly marked?: readonly (readonly [row: number, column: number])[];
}

/** A sequence with coloured letters, such as by attention. */
export interface ReportLetters {
  /** The heading, such as the sequence's name. */
  readonly title: string;
  /** The sequence. */
  readonly text: string;
  /** From 0 to 1, one per letter. */
  readonly values?: readonly number[];
  /** Aligned lines of letters below, such as the true and the predicted structure. */
  readonly below?: readonly { readonly label: string; readonly text: string }[];
}

/** One position of a sequence logo. */
export interface ReportLogoColumn {
  /** Label below the column, such as the position. */
  readonly label: string;
  /** Letters from bottom to top; `height` is in units of the `y` axis. */
  readonly letters: readonly { readonly letter: string; readonly height: number }[];
}
