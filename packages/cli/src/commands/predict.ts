/** @file `onnx-lora predict`: answers for files that nobody has labelled. */

import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import {
  type AdapterSession,
  type Model,
  modelFor,
  type Prediction,
  type Predictor,
  writeFileAtomic,
} from '@onnx-lora/sdk';
import { Command } from 'commander';
import type { Context } from '../context.ts';
import { printable, usageError } from '../errors.ts';
import { machineOptions } from '../lora.ts';
import { addConfig, addExamples, addMismatch, addOutput, addSettings, type OutputFlags } from '../options.ts';
import { Progress } from '../progress.ts';
import { readSettings } from '../readSettings.ts';
import { chooseTask, loadNamedAdapter, nothingNamed, openNamed, requireModel, splitWords } from '../sources.ts';
import { taskSettings } from '../taskSettings.ts';
import { formatTable, grouped, short } from '../table.ts';

interface PredictFlags extends OutputFlags {
  readonly config?: string;
  readonly allowBaseMismatch?: boolean;
}

/** Makes the command. */
export function predictCommand(context: Context): Command {
  const command = new Command('predict')
    .summary('answer for files that nobody has labelled')
    .description(
      'Says what a model makes of files, one line each: label, score, file. Pictures in the answers, such as masks, are written into the folder of --out.',
    )
    .usage('MODEL FILE… [options]')
    .argument('[words...]', 'the model and the files; with --model, only files');
  addSettings(command, ['model', 'task', 'set', 'adapter', 'batchSize', 'provider', 'threads', 'out'], {
    out: 'folder for pictures in the answers, such as masks',
  });
  addMismatch(addConfig(command));
  addOutput(command);
  addExamples(
    command,
    'onnx-lora predict models/vit cat.jpg dog.jpg --adapter runs/photos',
    'onnx-lora predict --model models/vit *.jpg --json | jq -r .[].label',
    'onnx-lora predict models/segformer street.jpg --out masks                          # masks/street-mask.png',
  );
  return command.action(async (words: string[], flags: PredictFlags & Record<string, unknown>) => {
    const { terminal } = context;
    const settings = await readSettings(flags, flags.config);
    const named = splitWords(words, settings.model);
    const source = requireModel(named.model);
    if (named.rest.length === 0) throw nothingNamed('files', source, settings.model);
    const catalogue = context.catalogue();
    const base = await openNamed(named.model, catalogue);
    const adapter = settings.adapter === undefined ? undefined : await loadNamedAdapter(settings.adapter);
    const model = adapter ? modelFor<Model>(base, adapter) : base;
    const factory = chooseTask(settings.task, model, catalogue);
    const predictor = await factory.predictor(model, {
      ...(settings.set === undefined ? {} : { settings: taskSettings(settings.set, factory) }),
      ...(adapter ? { adapter } : {}),
    });
    const session = await model.withOutputs(predictor.outputs ?? []).session({
      adapters: adapter ? { adapter } : {},
      allowBaseMismatch: flags.allowBaseMismatch ?? false,
      ...machineOptions(settings),
    });
    const progress = new Progress(terminal, flags);
    let predictions: Prediction[];
    try {
      const choice = adapter ? 'adapter' : null;
      predictions = await predictAll({ predictor, session, choice, progress }, named.rest, settings.batchSize ?? 32);
    } finally {
      await session.release();
    }
    const told = await writePictures(named.rest, predictions, settings.out);
    if (flags.json) terminal.printJson(named.rest.map((file, i) => ({ file, ...told[i] })));
    else for (const line of asText(named.rest, told)) terminal.print(printable(line));
  });
}

interface Asked {
  readonly predictor: Predictor;
  readonly session: AdapterSession;
  readonly choice: string | null;
  readonly progress: Progress;
}

async function predictAll(
  { predictor, session, choice, progress }: Asked,
  files: readonly string[],
  batchSize: number,
): Promise<Prediction[]> {
  const predictions: Prediction[] = [];
  for (let done = 0; done < files.length; done += batchSize) {
    const feeds = await predictor.feeds(files.slice(done, done + batchSize));
    predictions.push(...predictor.decode(await session.run(feeds, { adapter: choice })));
    // One batch needs no progress.
    if (files.length > batchSize) {
      progress.showLive(
        predictions.length,
        files.length,
        `${grouped(predictions.length)} of ${grouped(files.length)} files`,
      );
    }
  }
  return predictions;
}

/**
 * The predictions with paths in the place of pictures, which are written to `<out>/<file>-<what>.png`; without `out` they
 * are left out.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` where two files would have one name, `FILE_INVALID` where nothing can be written
 */
async function writePictures(
  files: readonly string[],
  predictions: readonly Prediction[],
  out: string | undefined,
): Promise<Prediction[]> {
  const written = new Map<string, string>();
  const told: Prediction[] = [];
  for (const [i, prediction] of predictions.entries()) {
    const plain: [string, unknown][] = [];
    for (const [key, value] of Object.entries(prediction)) {
      if (!(value instanceof Uint8Array)) plain.push([key, value]);
      else if (out !== undefined) {
        const file = path.join(out, `${path.parse(files[i]!).name}-${key}.png`);
        const other = written.get(file);
        if (other !== undefined)
          throw usageError(
            `"${other}" and "${files[i]!}" would both be written to "${file}". Ask for them one after the other.`,
          );
        written.set(file, files[i]!);
        await mkdir(out, { recursive: true });
        await writeFileAtomic(file, value);
        plain.push([key, file]);
      }
    }
    told.push(Object.fromEntries(plain));
  }
  return told;
}

/** What a prediction says at one glance; its lists, such as the runners-up, are for JSON. */
function asText(files: readonly string[], predictions: readonly Prediction[]): string[] {
  return formatTable(
    predictions.map((prediction, i) => [
      ...Object.values(prediction)
        .filter((value) => typeof value === 'string' || typeof value === 'number')
        .map((value) => (typeof value === 'number' ? short(value) : value)),
      files[i]!,
    ]),
  );
}
