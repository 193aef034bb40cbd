/** @file Report sections of transcripts: error rates, frequent mistakes, and the worst recordings to play. */

import {
  align,
  type AlignedPiece,
  type ErrorRates,
  type ReportClip,
  type ReportSection,
  wordErrors,
  wordsOf,
} from '@onnx-lora/sdk/tasks';
import { toWave } from '../audio/formats/wav.ts';
import type { TextNormaliser } from '../text/normalise/basicNormaliser.ts';

/** A held-out recording with its transcripts. */
export interface ReportUtterance {
  /** Its name, such as the path. */
  readonly name: string;
  /** Its samples, or a loader that is called only if it is shown. */
  readonly samples?: Float32Array | (() => Promise<Float32Array | undefined>);
  /** Hz of the samples. */
  readonly rate: number;
  /** Reference transcript. */
  readonly reference: string;
  /** Transcript of the base. */
  readonly before: string;
  /** Transcript with the adapter. */
  readonly after: string;
}

/** Data of the sections. */
export interface TranscriptReport {
  /** The transcribed recordings. */
  readonly utterances: readonly ReportUtterance[];
  /** The normaliser of the error rates. */
  readonly normalise?: TextNormaliser;
  /** Number of the worst recordings shown; 20 by default. */
  readonly worst?: number;
}

/** Most bytes of sound in a report, which is one file. */
const mostAudio = 12_000_000;

/**
 * Sections of a task's report. Recordings with an empty reference are left out.
 * @throws OnnxLoraError `DATA_INVALID` if all references are empty
 */
export async function transcriptSections({
  utterances,
  normalise = (text) => text,
  worst = 20,
}: TranscriptReport): Promise<ReportSection[]> {
  const references = utterances.map(({ reference }) => reference);
  const [before, after] = (['before', 'after'] as const).map((when) =>
    wordErrors(
      references,
      utterances.map((utterance) => utterance[when]),
      normalise,
    ),
  ) as [ErrorRates, ErrorRates];
  const compared = utterances
    .map((utterance) => comparedWords(utterance, normalise))
    .filter(({ said }) => said.length > 0);
  const worstFirst = compared
    .filter(({ after: { edits } }) => edits > 0)
    .sort((a, b) => b.after.edits - a.after.edits || b.after.edits / b.said.length - a.after.edits / a.said.length)
    .slice(0, worst);
  return [
    ratesTable(before, after),
    ...mistakesTable(compared),
    ...(worstFirst.length === 0 ? [] : [await clipsOf(worstFirst)]),
  ];
}

interface ComparedWords {
  readonly utterance: ReportUtterance;
  readonly said: readonly string[];
  readonly before: Heard;
  readonly after: Heard;
}

interface Heard {
  readonly pieces: readonly AlignedPiece[];
  readonly edits: number;
}

function comparedWords(utterance: ReportUtterance, normalise: TextNormaliser): ComparedWords {
  const said = wordsOf(normalise(utterance.reference));
  const heard = (text: string): Heard => {
    const pieces = align(said, wordsOf(normalise(text)));
    return { pieces, edits: pieces.filter(({ kind }) => kind !== 'hit').length };
  };
  return { utterance, said, before: heard(utterance.before), after: heard(utterance.after) };
}

function ratesTable(before: ErrorRates, after: ErrorRates): ReportSection {
  const row = (name: string, { wer, cer, words }: ErrorRates): (string | number)[] => [
    name,
    percent(wer),
    percent(cer),
    words.substitutions,
    words.deletions,
    words.insertions,
  ];
  const { hits, substitutions, deletions } = after.words;
  const skipped =
    after.skipped === 0 ? '' : ` ${count(after.skipped, 'recording')} without a word in the transcript left out.`;
  return {
    kind: 'table',
    title: 'Error rates',
    text: `${count(after.utterances, 'recording')} with ${count(hits + substitutions + deletions, 'word')}.${skipped} Wrong, missing and extra words together, over the words that were said, are the word error rate (WER).`,
    columns: ['Model', 'WER %', 'CER %', 'Wrong', 'Missing', 'Extra'],
    rows: [row('Base', before), row('Adapted', after)],
  };
}

/** The most frequent word substitutions with the adapter, and their counts before. */
function mistakesTable(compared: readonly ComparedWords[]): ReportSection[] {
  const after = mistakes(compared.map((each) => each.after));
  const before = mistakes(compared.map((each) => each.before));
  const repeated = [...after.values()]
    .filter(({ times }) => times > 1)
    .sort((a, b) => b.times - a.times)
    .slice(0, 15);
  if (repeated.length === 0) return [];
  return [
    {
      kind: 'table',
      title: 'Mistakes that come again',
      columns: ['Said', 'Heard', 'Adapted', 'Base'],
      rows: repeated.map(({ said, heard, times }) => [
        said ?? '(nothing)',
        heard ?? '(nothing)',
        times,
        before.get(keyOf(said, heard))?.times ?? 0,
      ]),
    },
  ];
}

interface Mistake {
  readonly said: string | undefined;
  readonly heard: string | undefined;
  times: number;
}

function mistakes(all: readonly Heard[]): Map<string, Mistake> {
  const found = new Map<string, Mistake>();
  for (const { pieces } of all) {
    for (const { kind, reference: said, hypothesis: heard } of pieces) {
      if (kind === 'hit') continue;
      const key = keyOf(said, heard);
      const known = found.get(key) ?? { said, heard, times: 0 };
      known.times++;
      found.set(key, known);
    }
  }
  return found;
}

/** Words have no spaces. */
function keyOf(said = '', heard = ''): string {
  return `${said} ${heard}`;
}

async function clipsOf(worst: readonly ComparedWords[]): Promise<ReportSection> {
  const clips: ReportClip[] = [];
  let room = mostAudio;
  let silent = 0;
  for (const { utterance, said, before, after } of worst) {
    const samples = await (typeof utterance.samples === 'function' ? utterance.samples() : utterance.samples);
    const fits = samples !== undefined && 2 * samples.length + 44 <= room;
    if (fits) room -= 2 * samples.length + 44;
    else if (samples) silent++;
    clips.push({
      title: `${utterance.name}: ${count(after.edits, 'mistake')} in ${count(said.length, 'word')}, base ${before.edits}`,
      ...(fits ? { audio: toWave(samples, utterance.rate) } : {}),
      lines: [
        { label: 'said', pieces: [{ text: said.join(' ') }] },
        { label: 'base', pieces: marked(before) },
        { label: 'adapted', pieces: marked(after) },
      ],
    });
  }
  const short = silent === 0 ? '' : ` ${count(silent, 'recording')} too long to be kept in this file.`;
  return {
    kind: 'clips',
    title: 'Recordings with most mistakes',
    text: `As they were compared: what does not count as a mistake, such as case, is taken away.${short}`,
    clips,
  };
}

/** Joins neighbours of one kind. */
function marked({ pieces }: Heard): ReportClip['lines'][number]['pieces'] {
  const runs: { text: string; mark?: 'wrong' | 'missing' | 'extra' }[] = [];
  for (const { kind, reference, hypothesis } of pieces) {
    const mark = marks[kind];
    const text = hypothesis ?? reference!;
    const last = runs.at(-1);
    if (last && last.mark === mark) last.text += ` ${text}`;
    else runs.push(mark === undefined ? { text } : { text, mark });
  }
  return runs;
}

const marks = { hit: undefined, substitution: 'wrong', deletion: 'missing', insertion: 'extra' } as const;

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

function percent(rate: number): number {
  return Math.round(rate * 1000) / 10;
}
