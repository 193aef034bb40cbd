/** @file Sequence logos in reports. */

import type { ReportLogoColumn, ReportSection } from '@onnx-lora/sdk/tasks';

/** Input of {@link logoSection}. */
export interface LogoRequest {
  /** Heading of the section. */
  readonly title: string;
  /** Sentence under the heading. */
  readonly text?: string | undefined;
  /** Sequences of equal length. */
  readonly sequences: readonly string[];
  /** Alphabet size: 20 for proteins (the default), 4 for nucleotides. */
  readonly letters?: number | undefined;
  /** Shown positions, from 0; by default those where the sequences differ, at most 80. */
  readonly places?: readonly number[] | undefined;
}

const MOST_PLACES = 80;

/** A section with the logo; undefined for sequences of unequal length, or with nothing to show. */
export function logoSection({ title, text, sequences, letters = 20, places }: LogoRequest): ReportSection | undefined {
  const length = sequences[0]?.length ?? 0;
  if (sequences.length < 2 || sequences.some((sequence) => sequence.length !== length)) return undefined;
  const shown =
    places ?? Array.from({ length }, (_, i) => i).filter((i) => new Set(sequences.map((each) => each[i])).size > 1);
  if (shown.length === 0) return undefined;
  return {
    kind: 'logo',
    title,
    text: `${text === undefined ? '' : `${text} `}A letter is as high as its share times the information of its position, of at most ${Math.log2(letters).toFixed(2)} bits, less what so few sequences (${sequences.length}) would show by chance.`,
    x: 'position',
    y: 'bits',
    columns: shown.slice(0, MOST_PLACES).map((place) => logoColumn(sequences.map((each) => each[place]!), letters, String(place + 1))), // prettier-ignore
  };
}

/**
 * A logo column: letter heights are shares times R = log₂(letters) − (H + e(n)), where H is the entropy of the shares
 * in bits and e(n) = (letters − 1) ÷ (2 · ln 2 · n) the small-sample correction for n sequences. Gaps (`-`) are left
 * out.
 * @param letters alphabet size
 * @see Schneider, Stephens: Sequence logos, a new way to display consensus sequences, 1990, doi 10.1093/nar/18.20.6097
 */
export function logoColumn(found: readonly string[], letters: number, label: string): ReportLogoColumn {
  const counts = new Map<string, number>();
  for (const letter of found) if (letter !== '-') counts.set(letter, (counts.get(letter) ?? 0) + 1);
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const shares = [...counts].map(([letter, count]) => ({ letter, share: count / total }));
  const entropy = shares.reduce((sum, { share }) => sum - share * Math.log2(share), 0);
  const chance = (letters - 1) / (2 * Math.LN2 * total);
  const information = Math.max(0, Math.log2(letters) - entropy - chance);
  return {
    label,
    letters: shares
      .sort((a, b) => a.share - b.share || (a.letter < b.letter ? 1 : -1))
      .map(({ letter, share }) => ({ letter, height: share * information })),
  };
}

/** Minimum sequences of a logo. */
const FEWEST = 10;
/** Share of predictions that count as high. */
const HIGH = 0.1;
/** Maximum class logos, the largest classes first. */
const MOST_CLASSES = 4;

/** A logo of the tenth with the highest predictions, at least ten; none for unequal lengths. */
export function highestLogo(name: string, sequences: readonly string[], predicted: readonly number[]): ReportSection[] {
  if (sequences.length < 2 * FEWEST) return [];
  const count = Math.max(FEWEST, Math.round(HIGH * sequences.length));
  const order = [...sequences.keys()].sort((a, b) => predicted[b]! - predicted[a]!).slice(0, count);
  const section = logoSection({
    title: `Predicted highest: ${name}`,
    text: `The ${count} held-out sequences with the highest predicted ${name}, at the positions where they differ.`,
    sequences: order.map((i) => sequences[i]!),
    letters: lettersOf(sequences),
  });
  return section ? [section] : [];
}

/** Logos of the sequences predicted as each class; none for unequal lengths. */
export function classLogos(
  labels: readonly string[],
  sequences: readonly string[],
  answers: readonly number[],
): ReportSection[] {
  const length = sequences[0]?.length;
  if (sequences.some((sequence) => sequence.length !== length)) return [];
  const groups = labels
    .map((label, c) => ({ label, own: sequences.filter((_, i) => answers[i] === c) }))
    .filter(({ own }) => own.length >= FEWEST)
    .sort((a, b) => b.own.length - a.own.length)
    .slice(0, MOST_CLASSES);
  return groups.flatMap(({ label, own }) => {
    const text = `The ${own.length} held-out sequences that are taken for ${label}, at the positions where they differ.`;
    const section = logoSection({ title: `Taken for ${label}`, text, sequences: own, letters: lettersOf(sequences) });
    return section ? [section] : [];
  });
}

function lettersOf(sequences: readonly string[]): number {
  return sequences.every((sequence) => /^[ACGTUN-]*$/.test(sequence)) ? 4 : 20;
}
