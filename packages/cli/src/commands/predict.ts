/** @file `onnx-lora predict`: answers for files that nobody has labelled. */

import type { AdapterSession, Prediction, Predictor } from '@onnx-lora/sdk';
import { Command } from 'commander';
import type { Context } from '../context.ts';
import { printable } from '../errors.ts';
import { machineOptions } from '../lora.ts';
import { addConfig, addExamples, addMismatch, addOutput, addSettings, type OutputFlags } from '../options.ts';
import { Progress } from '../progress.ts';
import { readSettings } from '../readSettings.ts';
import { chooseTask, loadNamedAdapter, nothingNamed, openNamed, requireModel, splitWords } from '../sources.ts';
import { formatTable, grouped, short } from '../table.ts';

interface PredictFlags extends OutputFlags {
  readonly config?: string;
  readonly allowBaseMismatch?: boolean;
}

/** Makes the command. */
export function predictCommand(context: Context): Command {
  const command = new Command('predict')
    .summary('answer for files that nobody has labelled')
    .description('Says what a model makes of files, one line each: label, score, file.')
    .usage('MODEL FILE… [options]')
    .argument('[words...]', 'the model and the files; with --model, only files');
  addSettings(command, ['model', 'task', 'adapter', 'batchSize', 'provider', 'threads']);
  addMismatch(addConfig(command));
  addOutput(command);
  addExamples(
    command,
    'onnx-lora predict models/vit cat.jpg dog.jpg --adapter runs/photos',
    'onnx-lora predict --model models/vit *.jpg --json | jq -r .[].label',
  );
  return command.action(async (words: string[], flags: PredictFlags & Record<string, unknown>) => {
    const { terminal } = context;
    const settings = await readSettings(flags, flags.config);
    const named = splitWords(words, settings.model);
    const source = requireModel(named.model);
    if (named.rest.length === 0) throw nothingNamed('files', source, settings.model);
    const catalogue = context.catalogue();
    const model = await openNamed(named.model, catalogue);
    const predictor = await chooseTask(settings.task, model, catalogue).predictor(model);
    const adapter = settings.adapter === undefined ? undefined : await loadNamedAdapter(settings.adapter);
    const session = await model.session({
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
    if (flags.json) terminal.printJson(named.rest.map((file, i) => ({ file, ...predictions[i] })));
    else for (const line of asText(named.rest, predictions)) terminal.print(printable(line));
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
