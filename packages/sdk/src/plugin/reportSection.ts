/** @file Sections of reports, as data. */

import type { ComparedMeasurement } from '../statistics/verdict.ts';

/** A section of the report, as data: how it looks is the report's affair. */
export type ReportSection = { readonly title: string; readonly text?: string } & (
  | { readonly kind: 'gallery'; readonly pictures: readonly ReportPicture[] }
  | {
      readonly kind: 'table';
      /** Headings of the columns. */
      readonly columns: readonly string[];
      /** One cell per column. */
      readonly rows: readonly (readonly (string | number)[])[];
      /**
       * Baselines in the table, as they measure on the held-out examples of the run, by their names: with them the run's verdict
       * compares the adapter.
       */
      readonly baselines?: Readonly<Record<string, ComparedMeasurement>>;
    }
  | {
      readonly kind: 'clips';
      readonly clips: readonly ReportClip[];
      /** What the marks say, where the texts are no speech that was heard. */
      readonly marks?: Readonly<Partial<Record<ReportMark, string>>>;
    }
  | ({ readonly kind: 'scatter' } & ReportChart)
  | ({ readonly kind: 'lines' } & ReportChart)
  | ({ readonly kind: 'histogram' } & ReportHistogram)
  | ({ readonly kind: 'heatmap' } & ReportHeatmap)
  | { readonly kind: 'letters'; readonly rows: readonly ReportLetters[] }
  | { readonly kind: 'logo'; readonly x: string; readonly y: string; readonly columns: readonly ReportLogoColumn[] }
);

/** A picture with a caption, such as an image with the mask that was found. */
export interface ReportPicture {
  /** The bytes of a PNG, JPEG or WebP file. */
  readonly image: Uint8Array;
  /** What it shows, for those who cannot see it. */
  readonly alt: string;
  /** The line below it. */
  readonly caption: string;
  /** Shown larger, for several images beside each other in one picture. */
  readonly isWide?: boolean;
}

/** How a piece of a text compares. */
export type ReportMark = 'wrong' | 'missing' | 'extra';

/** Lines of text that are compared, such as what was said and what was heard, with the recording where there is one. */
export interface ReportClip {
  /** The line above it, such as the recording's name. */
  readonly title: string;
  /** The bytes of a WAV file, to be played. */
  readonly audio?: Uint8Array;
  /** The texts, one below the other, piece by piece in line. */
  readonly lines: readonly {
    /** What the line is: `said`, `heard before`. */
    readonly label: string;
    /** Its pieces. */
    readonly pieces: readonly {
      readonly text: string;
      /** How it compares: words that are `wrong`, `missing` or `extra`. */
      readonly mark?: ReportMark;
      /** What it is, such as `LOC`: stands beside it, in a colour of its own. */
      readonly label?: string;
    }[];
  }[];
}

/** Points or lines in two dimensions, a colour per series. */
export interface ReportChart {
  /** What the horizontal axis is. */
  readonly x: string;
  /** What the vertical axis is. */
  readonly y: string;
  /** Points `[x, y]` by series; the name is the legend's. */
  readonly series: readonly { readonly name: string; readonly points: readonly (readonly [x: number, y: number])[] }[];
  /** Draws the line on which both are the same, with one scale for both, such as for predicted over true values. */
  readonly diagonal?: boolean;
}

/** How often values are how large. */
export interface ReportHistogram {
  /** What the values are. */
  readonly x: string;
  /** Borders of the bins, one more than there are bins. */
  readonly borders: readonly number[];
  /** How many values lie in each bin. */
  readonly counts: readonly number[];
}

/** A number for each of rows by columns, such as the effect of every substitution at every position. */
export interface ReportHeatmap {
  /** What the columns are. */
  readonly x: string;
  /** What the rows are. */
  readonly y: string;
  /** Names of the rows, from the top. */
  readonly rows: readonly string[];
  /** Names of the columns, from the left. */
  readonly columns: readonly string[];
  /** By row, then column; null where there is none. */
  readonly values: readonly (readonly (number | null)[])[];
  /** The value that is neither good nor bad: colours part there. Without it they go from the least to the most. */
  readonly centre?: number;
  /** Cells with a mark, such as the residues of the wild type, as `[row, column]`. */
  readonly marked?: readonly (readonly [row: number, column: number])[];
}

/** A sequence whose letters are coloured, such as by how much attention they get. */
export interface ReportLetters {
  /** The line above it, such as the sequence's name. */
  readonly title: string;
  /** The sequence. */
  readonly text: string;
  /** From 0 to 1, one per letter. */
  readonly values?: readonly number[];
  /** Lines of letters below, one for each of `text`: what is true, what was said. */
  readonly below?: readonly { readonly label: string; readonly text: string }[];
}

/** What stands at one position of a sequence logo. */
export interface ReportLogoColumn {
  /** What stands below the column, such as the position. */
  readonly label: string;
  /** Letters from the bottom to the top; a height of 1 is one unit of the `y` axis. */
  readonly letters: readonly { readonly letter: string; readonly height: number }[];
}
