/** @file `onnx-lora predict`: answers for files that nobody has labelled. */

import { createHash } from 'node:crypto';
import {
  type Adapter,
  type Catalogue,
  type Model,
  modelFor,
  type Prediction,
  type PredictorOptions,
  type RecordAnswerer,
  type TaskFactory,
} from '@onnx-lora/sdk';
import { Command } from 'commander';
import type { Context } from '../context.ts';
import { printable, usageError } from '../errors.ts';
import { machineOptions } from '../lora.ts';
import { addConfig, addExamples, addMismatch, addOutput, addSettings, type OutputFlags } from '../options.ts';
import { Progress } from '../progress.ts';
import { readSettings } from '../readSettings.ts';
import type { Settings } from '../settings.ts';
import { chooseTask, chosenAdapter, nothingNamed, openNamed, requireModel, splitWords } from '../sources.ts';
import { taskSettings } from '../taskSettings.ts';
import { formatTable, grouped, short, timecode } from '../table.ts';
import { briefVector, withLists } from '../vectors.ts';
import { BeyondText } from './beyondText.ts';
import { predictRecords } from './predictRecords.ts';
import { predictSources, requireSources, STDIN } from './predictSources.ts';
import { writePictures } from './writePictures.ts';

interface PredictFlags extends OutputFlags {
  readonly config?: string;
  readonly allowBaseMismatch?: boolean;
}

/** Makes the command. */
export function predictCommand(context: Context): Command {
  const command = new Command('predict')
    .summary('answer for files that nobody has labelled')
    .description(
      'Says what a model makes of files, one line each: label, score, file; or what is said in a recording; or of each record of a file that holds many, such as a FASTA file. A folder stands for all files below it, "-" for standard input. Pictures in the answers, such as masks, are written into the folder of --out. Answers about records are written to the file of --out (.csv, .tsv, .jsonl), and an interrupted command goes on where it stood when it is repeated.',
    )
    .usage('MODEL FILE… [options]')
    .argument('[words...]', 'the model and the files; with --model, only files');
  addSettings(command, ['model', 'fix', 'task', 'set', 'adapter', 'batchSize', 'provider', 'threads', 'out'], {
    out: 'folder for pictures in the answers, such as masks; or file for answers about records (.csv, .tsv, .jsonl)',
  });
  addMismatch(addConfig(command));
  addOutput(command);
  addExamples(
    command,
    'onnx-lora predict models/vit cat.jpg dog.jpg --adapter runs/photos',
    'onnx-lora predict --model models/vit photos --json | jq -r .[].label               # all photos of a folder',
    'onnx-lora predict models/segformer street.jpg --out masks                          # masks/street-mask.png',
    'onnx-lora predict models/esm2 proteins.fasta.gz --adapter runs/gb1 --out fit.csv   # of any size',
    'onnx-lora predict models/whisper call.wav --adapter runs/calls                     # what is said',
    'arecord -f S16_LE -r 16000 | onnx-lora predict models/whisper -                    # while it is said',
  );
  return command.action(async (words: string[], flags: PredictFlags & Record<string, unknown>) => {
    const { terminal } = context;
    const settings = await readSettings(flags, flags.config);
    const named = splitWords(words, settings.model);
    const source = requireModel(named.model);
    if (named.rest.length === 0) throw nothingNamed('files', source, settings.model);
    requireSources(named.rest);
    const catalogue = context.catalogue();
    const base = await openNamed(named.model, catalogue, settings);
    const chosen = await chosenAdapter(settings);
    const adapter = chosen?.adapter;
    const model = adapter ? modelFor<Model>(base, adapter) : base;
    const factory = await chooseTask(settings.task, model, context, chosen);
    const records = await factory.recordAnswerer?.(model, {
      ...(settings.set === undefined ? {} : { settings: taskSettings(settings.set, factory) }),
      ...(adapter ? { adapter } : {}),
      load: { allowBaseMismatch: flags.allowBaseMismatch ?? false, ...machineOptions(settings) },
    });
    const sources = predictSources(named.rest, records?.fileEndings ?? endingsFor(model, catalogue));
    const progress = new Progress(terminal, flags);
    const answering: Answering = {
      model,
      adapter,
      factory,
      sources,
      settings,
      allowBaseMismatch: flags.allowBaseMismatch ?? false,
      progress,
    };
    const beyond = new BeyondText();
    const noteBeyond = (): void => {
      if (!flags.json && settings.out === undefined && beyond.note !== undefined) progress.note(beyond.note);
    };
    if (records) {
      await usingRecords(records, answering, flags, context, beyond);
      noteBeyond();
      return;
    }
    if (factory.answerer) {
      const print = (line: string): void => terminal.print(printable(line));
      const predictions = await answerEach(answering, flags.json ? undefined : print);
      for (const each of predictions) beyond.add(each);
      if (flags.json) terminal.printJson(sources.map((file, i) => ({ file, ...predictions[i] })));
      noteBeyond();
      return;
    }
    const told = await writePictures(sources, await predictAll(answering), settings.out);
    if (flags.json) terminal.printJson(sources.map((file, i) => ({ file, ...withLists(told[i]!) })));
    else for (const line of asText(sources, told)) terminal.print(printable(line));
    for (const each of told) beyond.add(each);
    noteBeyond();
  });
}

async function usingRecords(
  answerer: RecordAnswerer,
  { model, adapter, factory, sources, settings, progress }: Answering,
  { json = false }: PredictFlags,
  { terminal, exitWith }: Context,
  beyond: BeyondText,
): Promise<void> {
  try {
    await predictRecords({
      answerer,
      sources,
      batchSize: settings.batchSize,
      out: settings.out,
      json,
      of: {
        model: await model.digest(),
        adapter: adapter && digestOf(adapter),
        task: factory.name,
        settings: settings.set,
      },
      line: (prediction, before) => {
        beyond.add(prediction);
        return [...before, ...shown(prediction, [])].join('  ');
      },
      terminal,
      progress,
      exitWith,
    });
  } finally {
    await answerer.release();
  }
}

/** A short text that differs between adapters. */
function digestOf({ config, tensors }: Adapter): string {
  const hash = createHash('sha256').update(JSON.stringify(config));
  for (const [name, { data }] of [...tensors].sort(([a], [b]) => (a < b ? -1 : 1)))
    hash.update(name).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return hash.digest('hex').slice(0, 16);
}

interface Answering {
  readonly model: Model;
  readonly adapter: Adapter | undefined;
  readonly factory: TaskFactory;
  readonly sources: readonly string[];
  readonly settings: Settings;
  readonly allowBaseMismatch: boolean;
  readonly progress: Progress;
}

/** What files of a folder the model can be asked about. */
function endingsFor({ family }: Model, { preprocessors }: Catalogue): string[] {
  const own = preprocessors.filter(({ domain }) => family === undefined || domain === family.domain);
  return [...new Set(own.flatMap(({ fileEndings }) => fileEndings))];
}

function predictorOptions({ settings, factory, adapter }: Answering): PredictorOptions | undefined {
  return {
    ...(settings.set === undefined ? {} : { settings: taskSettings(settings.set, factory) }),
    ...(adapter ? { adapter } : {}),
  };
}

/** Answers of a model that gives each in one pass. */
async function predictAll(answering: Answering): Promise<Prediction[]> {
  const { model, adapter, factory, sources, settings, allowBaseMismatch, progress } = answering;
  if (sources.includes(STDIN)) throw usageError(`The task "${factory.name}" reads files, not standard input ("-").`);
  const batchSize = settings.batchSize ?? 32;
  const predictor = await factory.predictor?.(model, predictorOptions(answering));
  if (!predictor) throw usageError(`The task "${factory.name}" is trained and evaluated, and answers for no files.`);
  const session = await model.withOutputs(predictor.outputs ?? []).session({
    adapters: adapter ? { adapter } : {},
    allowBaseMismatch,
    ...machineOptions(settings),
  });
  try {
    const predictions: Prediction[] = [];
    for (let done = 0; done < sources.length; done += batchSize) {
      const feeds = await predictor.feeds(sources.slice(done, done + batchSize));
      predictions.push(...predictor.decode(await session.run(feeds, { adapter: adapter ? 'adapter' : null }), feeds));
      // One batch needs no progress.
      if (sources.length > batchSize) showFiles(progress, predictions.length, sources.length);
    }
    return predictions;
  } finally {
    await session.release();
  }
}

/**
 * Answers that take several passes, each printed when it is there. That of a single source, which may be long or may still be
 * going on, is printed piece by piece.
 */
async function answerEach(
  answering: Answering,
  print: ((line: string) => void) | undefined,
): Promise<readonly Prediction[]> {
  const { model, factory, sources, settings, allowBaseMismatch, progress } = answering;
  const answerer = await factory.answerer!(model, {
    ...predictorOptions(answering),
    load: { allowBaseMismatch, ...machineOptions(settings) },
  });
  const isAlone = sources.length === 1;
  let parts = 0;
  const onPart = (source: number, part: Prediction): void => {
    if (!print) return;
    if (isAlone) {
      parts++;
      print(partText(part));
    } else progress.showLive(source, sources.length, `${sources[source]!}: ${partText(part)}`);
  };
  try {
    const predictions: Prediction[] = [];
    const asked = sources.map((source) => (source === STDIN ? process.stdin : source));
    const { batchSize } = settings;
    for await (const prediction of answerer.answers(asked, {
      ...(batchSize === undefined ? {} : { batchSize }),
      onPart,
    })) {
      const file = sources[predictions.length]!;
      predictions.push(prediction);
      if (parts === 0) print?.(shown(prediction, isAlone ? [] : [file]).join('  '));
      if (!isAlone) showFiles(progress, predictions.length, sources.length);
    }
    return predictions;
  } finally {
    await answerer.release();
  }
}

function showFiles(progress: Progress, done: number, total: number): void {
  progress.showLive(done, total, `${grouped(done)} of ${grouped(total)} files`);
}

/** A piece of an answer, with its place in the recording where it says one. */
function partText({ text, start, end }: Prediction): string {
  const said = typeof text === 'string' ? text.trim() : '';
  return typeof start === 'number' && typeof end === 'number'
    ? `[${timecode(start)} - ${timecode(end)}]  ${said}`
    : said;
}

/** What a prediction says at one glance: its text, where it is one, or all its words and numbers; its lists, such as the runners-up, are for JSON. */
function shown(prediction: Prediction, after: readonly string[]): string[] {
  if (typeof prediction['text'] === 'string') return [prediction['text'].trim(), ...after];
  const values = Object.values(prediction).flatMap((value) => {
    if (typeof value === 'number') return [short(value)];
    if (value instanceof Float32Array) return [briefVector(value)];
    return typeof value === 'string' ? [value] : [];
  });
  return [...values, ...after];
}

function asText(files: readonly string[], predictions: readonly Prediction[]): string[] {
  return formatTable(predictions.map((prediction, i) => shown(prediction, [files[i]!])));
}
