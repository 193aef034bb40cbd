/** @file Logos of what a model takes for the highest, or for each class, where sequences are of one length. */

import type { ReportSection } from '@onnx-lora/sdk/tasks';
import { logoSection } from './logoSection.ts';

/** A logo of fewer says little. */
const FEWEST = 10;
/** Of predicted numbers, the share that counts as high. */
const HIGH = 0.1;
/** Classes of which there is a logo, those with most sequences. */
const MOST_CLASSES = 4;

/** The tenth of the sequences with the highest predicted number, ten at least; nothing where lengths differ. */
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

/** The sequences that are taken for each class; nothing where lengths differ. */
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

/** Of nucleic acids there are four. */
function lettersOf(sequences: readonly string[]): number {
  return sequences.every((sequence) => /^[ACGTUN-]*$/.test(sequence)) ? 4 : 20;
}
