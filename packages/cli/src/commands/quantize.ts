/** @file `onnx-lora quantize`: writes a model in fewer bits. */

import path from 'node:path';
import {
  type LoftqOptions,
  type Model,
  quantize,
  type QuantizedBits,
  type QuantizedLayer,
  type QuantizeResult,
} from '@onnx-lora/sdk';
import { withoutUndefined } from '@onnx-lora/sdk/data';
import type { Task } from '@onnx-lora/sdk/tasks';
import { quantizedBits } from '@onnx-lora/sdk/core';
import { type Command, Option } from 'commander';
import type { Context } from '../context.ts';
import { commandOf, type Flags, modelArgument } from '../options.ts';
import { pathOfData } from '../plugins/dataset.ts';
import { loraOptions } from '../settings/adapter.ts';
import { readSettings, withTaskSettings } from '../settings/readSettings.ts';
import type { Settings } from '../settings/setting.ts';
import { chooseTask, withWarnings } from '../chosenTask.ts';
import { adapterPlaces, numberFlag, oneModel, openNamed, requireFlag, requireFree, taskOptions } from '../sources.ts';
import { usageError } from '../terminal/errors.ts';
import { Progress } from '../terminal/progress.ts';
import { formatTable, inBytes, percent } from '../terminal/table.ts';

interface QuantizeFlags extends Flags {
  readonly bits?: string;
  readonly blockSize?: string;
  readonly maxError?: string;
  readonly examples?: string;
  readonly loftqRank?: string;
  readonly loftqIterations?: string;
}

/** Makes the command. */
export function quantizeCommand(context: Context): Command {
  return commandOf({
    name: 'quantize',
    description:
      "Quantizes the weights of linear layers, for plain ONNX Runtime, and reports each layer's error. 8 bits compute in integers: about a quarter of the size, and faster. 4 and nf4 save memory: about a seventh of the size. Module paths stay the same, so adapters train on the result as on any model. Embeddings take 8 bits. Convolutions, norms and layers with too large an error stay as they are; the latter are named.",
    words: modelArgument,
    flags: [
      'model',
      new Option('--bits <n>', "bits: 8, 4 or nf4, QLoRA's 4-bit type"),
      ['targets', 'layers to quantize, in the form of train --targets (default: linear layers and embeddings)'],
      ['excludeModules', 'layers to leave in float32, such as lm_head'],
      new Option('--block-size <n>', 'with 4 and nf4: numbers per scale (default: 32, and 64 for nf4)'),
      new Option(
        '--max-error <x>',
        'keep layers in float32 above this relative error, of their outputs on --data or else their weights (default: 0.05 with 8 bits, 0.2 with 4)',
      ),
      ['data', "data to measure layer outputs on, in train's forms; without it, only weights are compared"],
      'task',
      'set',
      new Option('--examples <n>', 'number of examples of --data to measure (default: 64)'),
      new Option(
        '--loftq-rank <n>',
        'LoftQ: also write an adapter of this rank that makes up for most of the error, to train from (--from)',
      ),
      new Option('--loftq-iterations <n>', 'iterations of LoftQ; 5 come closer (default: 1)'),
      ['out', 'a folder for the model and its other files, or a single .onnx file'],
      'overwrite',
      'output',
    ],
    examples: [
      'onnx-lora quantize models/vit --bits 8 --out models/vit-int8',
      'onnx-lora quantize models/llm --bits 4 --exclude-modules lm_head --out models/llm-4bit',
      'onnx-lora quantize models/vit --bits nf4 --loftq-rank 16 --out models/vit-nf4   # and models/vit-nf4/loftq',
      'onnx-lora train models/vit-nf4 --from models/vit-nf4/loftq --data photos --out runs/photos',
      'onnx-lora train models/vit-int8 --data photos --out runs/photos   # an adapter on it, as on any other',
    ],
  }).action(async (word: string | undefined, flags: QuantizeFlags) => {
    const { terminal } = context;
    const settings = await readSettings(flags, undefined);
    const bits = bitsOf(flags.bits);
    const [blockSize, maxError] = [numberFlag('block-size', flags.blockSize), numberFlag('max-error', flags.maxError)];
    const examples = numberFlag('examples', flags.examples);
    if (examples !== undefined && settings.data === undefined)
      throw usageError('--examples says how many of --data are measured. Add --data, or leave it out.');
    const loftq = loftqOf(flags);
    const out = requireFlag(settings.out, 'out', 'name the .onnx file or the folder to write');
    const adapterOut = out.endsWith('.onnx') ? `${out.slice(0, -'.onnx'.length)}-loftq` : path.join(out, 'loftq');
    if (loftq) requireFree(adapterPlaces(adapterOut), flags);
    const model = await openNamed(oneModel(word, flags['model'], settings), context);
    const { targetModules, excludeModules } = loraOptions(settings);
    const progress = new Progress(terminal, flags);
    const data = settings.data === undefined ? undefined : await calibrationTask(model, settings, context, progress);
    const { adapter, ...result } = await quantize(model, out, {
      bits,
      ...withoutUndefined({ targetModules, excludeModules, blockSize, maxError, data, examples, loftq }),
      overwrite: flags.overwrite ?? false,
      onLayer: (done, total, module) => progress.showLive(done, total, `${done} of ${total} layers: ${module}`),
    });
    await adapter?.save(adapterOut, { overwrite: flags.overwrite ?? false });
    const told = adapter ? { ...result, adapter: adapterOut } : result;
    terminal.result(flags, told, () => [
      ...asText(result, out),
      ...(adapter ? [`Wrote ${adapterOut}: the adapter to begin with (train ${out} --from ${adapterOut}).`] : []),
    ]);
  });
}

async function calibrationTask(model: Model, settings: Settings, context: Context, progress: Progress): Promise<Task> {
  const tell = (line: string): void => progress.intro(line);
  const factory = await chooseTask(settings.task, model, context, tell);
  const data = await pathOfData(settings.data!, context.registry, progress);
  return withWarnings(factory.create(taskOptions(withTaskSettings(settings, factory), data, settings.seed ?? 0)), tell);
}

/** @throws OnnxLoraError `CONFIG_INVALID` */
function bitsOf(text: string | undefined): QuantizedBits {
  if (text === undefined) throw usageError(`--bits is missing: say ${quantizedBits.join(', ')}.`);
  const found = quantizedBits.find((each) => String(each) === text.toLowerCase());
  if (found !== undefined) return found;
  throw usageError(`--bits must be one of ${quantizedBits.join(', ')}, but it is ${JSON.stringify(text)}.`);
}

/** @throws OnnxLoraError `CONFIG_INVALID` for iterations without a rank */
function loftqOf({ loftqRank, loftqIterations }: QuantizeFlags): LoftqOptions | undefined {
  const [r, iterations] = [numberFlag('loftq-rank', loftqRank), numberFlag('loftq-iterations', loftqIterations)];
  if (r !== undefined) return { r, ...withoutUndefined({ iterations }) };
  if (iterations === undefined) return undefined;
  throw usageError('--loftq-iterations is of use with --loftq-rank only. Leave it out, or add --loftq-rank.');
}

/** Worst layers shown; `--json` has all. */
const SHOWN = 5;

function asText({ files, bytesBefore, bytesAfter, layers, kept }: QuantizeResult, out: string): string[] {
  const models = files.filter((file) => file.endsWith('.onnx'));
  const what = models.length === 1 ? path.relative(out, models[0]!) : `${models.length} files`;
  const place = models[0] === out ? out : `${out} (${what}, and what lies beside)`;
  const count = layers.length === 1 ? '1 layer' : `${layers.length} layers`;
  return [
    `Wrote ${place}: ${count} in fewer bits, ${inBytes(bytesBefore)} → ${inBytes(bytesAfter)}.`,
    ...worstOf(layers),
    ...(kept.length === 0 ? [] : [`As ${kept.length === 1 ? 'it was' : 'they were'}, ${kept.length}:`]),
    ...kept.slice(0, SHOWN).map(({ module, reason }) => `  ${module} ${reason}`),
    ...(kept.length > SHOWN ? [`  … and ${kept.length - SHOWN} more (--json lists them).`] : []),
  ];
}

/** The layers with the largest error, of outputs where measured. */
function worstOf(layers: readonly QuantizedLayer[]): string[] {
  const decisive = ({ error, errorWithAdapter, outputError }: QuantizedLayer): number =>
    outputError ?? errorWithAdapter ?? error;
  const worst = layers.toSorted((a, b) => decisive(b) - decisive(a)).slice(0, SHOWN);
  const isMeasured = layers.some(({ outputError }) => outputError !== undefined);
  const hasAdapter = layers.some(({ errorWithAdapter }) => errorWithAdapter !== undefined);
  const head = ['Off most:', ...(isMeasured ? ['output'] : []), 'weight', ...(hasAdapter ? ['with the adapter'] : [])];
  const rows = worst.map(({ module, error, outputError, errorWithAdapter }) => [
    `  ${module}`,
    ...(isMeasured ? [outputError === undefined ? '-' : percent(outputError)] : []),
    percent(error),
    ...(errorWithAdapter === undefined ? [] : [percent(errorWithAdapter)]),
  ]);
  return formatTable([head, ...rows], ['left', 'right', 'right']);
}
