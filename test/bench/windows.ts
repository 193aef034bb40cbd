/**
 * @file Accuracy lost to a shorter window of Whisper, with little of its silence: five-fold cross-validation over all recordings,
 * with several seeds. Each result is a line of a file, so that interrupted work can resume.
 */

import { OnnxLoraError, openModel, train } from '@onnx-lora/sdk';
import { bootstrapInterval, countEdits, type EditCounts } from '@onnx-lora/sdk/tasks';
import { Random } from '@onnx-lora/sdk/data';
import { openvinoPlugin } from '@onnx-lora/openvino';
import {
  basicNormaliser,
  monoAt,
  openTranscriber,
  readSpeechData,
  AudioFileReader,
  speechFamilies,
  speechRecognition,
  type SpeechRecord,
} from '@onnx-lora/speech';
import { existsSync } from 'node:fs';
import { appendFile, readFile } from 'node:fs/promises';
import path from 'node:path';
import { recognitionModel, recordings } from './recognition.ts';
import { providerOf } from './settings.ts';

/** Length of the window in training, default or whole, and precision of the base. */
const windowVariants = {
  default: { contextSeconds: 'auto', precision: 'float32' },
  full: { contextSeconds: 'full', precision: 'float32' },
  'int8-backward': { contextSeconds: 'auto', precision: 'int8-backward' },
  int8: { contextSeconds: 'auto', precision: 'int8' },
  bfloat16: { contextSeconds: 'auto', precision: 'bfloat16' },
} as const;
/** The reference of a variant. */
const besideOf = (variant: string): string => (/^int8|^bfloat16$/.test(variant) ? 'default' : 'full');
type Variant = keyof typeof windowVariants;

/** Result of one training on held-out recordings. */
export interface WindowResult {
  readonly fold: number;
  readonly seed: number;
  readonly variant: string;
  /** Seconds of the training. */
  readonly seconds: number;
  /** CPU seconds of the training, over all threads. */
  readonly cpu: number;
  readonly clips: readonly ClipResult[];
}

/** Edits of one recording. */
export interface ClipResult {
  readonly clip: string;
  readonly edits: number;
  readonly characters: number;
  readonly wordEdits: number;
  readonly words: number;
}

const FOLDS = 5;
const seeds = [0, 1, 2] as const;
const settings = { steps: 64, batchSize: 8, lr: 1e-3, warmupSteps: 10, weightDecay: 0.01 } as const;
// As the data's notes say it is scored.
const normalise = basicNormaliser({ removeDiacritics: true });

/**
 * Trains and measures the results missing in the file, all folds of one seed before the next, and prints all.
 *
 * @param variants names of variants, separated by commas
 * @throws OnnxLoraError `FILE_NOT_FOUND` where model or recordings are not there, `INPUT_INVALID` for another variant
 */
export async function crossValidateWindows(
  file: string,
  variants: string,
  threads: number,
  print: (line: string) => void,
): Promise<void> {
  for (const needed of [recognitionModel, recordings]) {
    if (existsSync(needed)) continue;
    throw new OnnxLoraError('FILE_NOT_FOUND', `There is no "${needed}", with which the windows are compared.`);
  }
  const names = variants.split(',').map((name) => {
    if (Object.hasOwn(windowVariants, name)) return name as Variant;
    const known = Object.keys(windowVariants).join(', ');
    throw new OnnxLoraError('INPUT_INVALID', `There is no variant "${name}". Name some of ${known}.`);
  });
  const folds = await foldsOf();
  for (const seed of seeds) {
    for (const [fold, test] of folds.entries()) {
      for (const variant of names) {
        const isDone = (await resultsIn(file)).some((each) => each.fold === fold && each.seed === seed && each.variant === variant); // prettier-ignore
        if (isDone) continue;
        const others = folds.flatMap((records, i) => (i === fold ? [] : records));
        const found = { fold, seed, variant, ...(await resultOf(others, test, { seed, variant, threads })) };
        await appendFile(file, `${JSON.stringify(found)}\n`);
        print(`seed ${seed}, fold ${fold}, ${variant}: CER ${percent(cerOf(found.clips))}, ${found.cpu.toFixed(0)} s of CPU`); // prettier-ignore
      }
    }
  }
  for (const line of windowLines(await resultsIn(file))) print(line);
}

/** All recordings in parts of about one size; equal sentences are in one part. */
async function foldsOf(): Promise<SpeechRecord[][]> {
  const { train: taught, validation = [], test = [] } = await readSpeechData(recordings);
  const bySentence = new Map<string, SpeechRecord[]>();
  for (const record of [...taught, ...validation, ...test]) {
    const sentence = normalise(record.text ?? '').trim();
    bySentence.set(sentence, [...(bySentence.get(sentence) ?? []), record]);
  }
  const sentences = [...bySentence.keys()].sort();
  const random = new Random(12_345);
  const order = sentences.map((_, i) => i);
  for (let i = order.length - 1; i > 0; i--) {
    const j = random.index(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  const folds = Array.from({ length: FOLDS }, (): SpeechRecord[] => []);
  for (const i of order) {
    const smallest = folds.reduce((least, each) => (each.length < least.length ? each : least));
    smallest.push(...bySentence.get(sentences[i]!)!);
  }
  return folds;
}

const nameOf = ({ audio }: SpeechRecord): string => path.relative(recordings, audio as string);

async function resultOf(
  taught: readonly SpeechRecord[],
  test: readonly SpeechRecord[],
  { seed, variant, threads }: { readonly seed: number; readonly variant: Variant; readonly threads: number },
): Promise<Omit<WindowResult, 'fold' | 'seed' | 'variant'>> {
  const { contextSeconds, precision } = windowVariants[variant];
  const opened = { families: speechFamilies, plugins: [openvinoPlugin] };
  const model = await openModel(recognitionModel, { ...opened, precision });
  // All of them are trained on, whichever split the data mean them for.
  const all = taught
    .toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))
    .map((record): SpeechRecord => ({ ...record, split: 'train' }));
  const task = speechRecognition(all, { contextSeconds });
  const lora = { r: 8, loraAlpha: 16, targetModules: ['q_proj', 'v_proj'] };
  const run = await train(model, { ...settings, seed, threads, task, lora, provider: providerOf(precision) });
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  const { adapter } = await run.done;
  const [seconds, used] = [(performance.now() - start) / 1000, process.cpuUsage(cpu)];
  // Each adapter is heard with the window that it notes, and one of OpenVINO by ONNX Runtime.
  const heardBy = precision === 'bfloat16' ? await openModel(recognitionModel, opened) : model;
  const transcriber = await openTranscriber(heardBy, { adapters: { adapter }, threads });
  const reader = new AudioFileReader();
  const clips: ClipResult[] = [];
  const byLength = test.toSorted((a, b) => a.text!.length - b.text!.length);
  for (let i = 0; i < byLength.length; i += settings.batchSize) {
    const batch = byLength.slice(i, i + settings.batchSize);
    const sounds = await Promise.all(batch.map(({ audio }) => monoAt(reader, audio, transcriber.sampleRate)));
    const heard = await transcriber.transcribeClips(sounds, { adapter: 'adapter' });
    clips.push(...batch.map((record, row) => clipResult(nameOf(record), record.text!, heard[row]!.text)));
  }
  await transcriber.release();
  return { seconds, cpu: (used.user + used.system) / 1e6, clips };
}

function clipResult(clip: string, reference: string, hypothesis: string): ClipResult {
  const [said, heard] = [reference, hypothesis].map((text) => normalise(text).trim()) as [string, string];
  const words = (text: string): string[] => text.split(/\s+/).filter(Boolean);
  return {
    clip,
    edits: sumOf(countEdits([...said], [...heard])),
    characters: [...said].length,
    wordEdits: sumOf(countEdits(words(said), words(heard))),
    words: words(said).length,
  };
}

const sumOf = ({ substitutions, deletions, insertions }: EditCounts): number => substitutions + deletions + insertions;

/** Results of a file, one per line; none without the file. */
export async function resultsIn<Result = WindowResult>(file: string): Promise<Result[]> {
  if (!existsSync(file)) return [];
  const lines = (await readFile(file, 'utf8')).split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Result);
}

/**
 * The table: error rates by variant and seed, and for each variant the difference of its CER to that of the whole window, over
 * the folds and seeds that both have, with an interval over recordings.
 */
export function windowLines(results: readonly WindowResult[]): string[] {
  const variants = [...new Set(results.map(({ variant }) => variant))].sort();
  const rows = variants.map((variant) => {
    const own = results.filter((each) => each.variant === variant);
    const pairs = own.flatMap((each) => {
      const full = results.find((other) => other.variant === besideOf(variant) && other.fold === each.fold && other.seed === each.seed); // prettier-ignore
      return full && variant !== 'full' ? [{ each, full }] : [];
    });
    const cpu = own.reduce((sum, each) => sum + each.cpu, 0) / own.length;
    const clips = own.flatMap((each) => each.clips);
    const wer = clips.reduce((sum, each) => sum + each.wordEdits, 0) / clips.reduce((sum, { words }) => sum + words, 0);
    return `| ${[variant, own.length, percent(cerOf(clips)), percent(wer), pairs.length, differenceIn(pairs), cpu.toFixed(0)].join(' | ')} |`; // prettier-ignore
  });
  return [
    '| heard in training | trainings | CER | WER | pairs | more CER than full, or than default with int8, points | CPU s |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
  ];
}

/** The mean difference in points with its 95% interval. Recordings are resampled, each with the results of all seeds. */
function differenceIn(pairs: readonly { readonly each: WindowResult; readonly full: WindowResult }[]): string {
  const byClip = new Map<string, { more: number; characters: number }>();
  for (const { each, full } of pairs) {
    const edits = new Map(full.clips.map((clip) => [clip.clip, clip.edits]));
    for (const clip of each.clips) {
      const known = byClip.get(clip.clip) ?? { more: 0, characters: 0 };
      known.more += clip.edits - edits.get(clip.clip)!;
      known.characters += clip.characters;
      byClip.set(clip.clip, known);
    }
  }
  const clips = [...byClip.values()];
  if (clips.length === 0) return '–';
  const points = (times: ArrayLike<number>): number => {
    let [more, characters] = [0, 0];
    for (const [i, clip] of clips.entries()) {
      more += times[i]! * clip.more;
      characters += times[i]! * clip.characters;
    }
    return (100 * more) / characters;
  };
  const [low, high] = bootstrapInterval(points, clips.length, { samples: 10_000 });
  return `${points(clips.map(() => 1)).toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
}

function cerOf(clips: readonly ClipResult[]): number {
  return clips.reduce((sum, { edits }) => sum + edits, 0) / clips.reduce((sum, each) => sum + each.characters, 0);
}

const percent = (share: number): string => `${(100 * share).toFixed(1)}%`;
