/** @file `onnx-lora build`: builds an ONNX model from a checkpoint, without Python. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import {
  buildGraphs,
  buildModel,
  type BuildOptions,
  type BuiltModel,
  type GraphForm,
  type WeightType,
} from '@onnx-lora/build';
import { OnnxLoraError, OrtRuntime, quantize, type QuantizedBits } from '@onnx-lora/sdk';
import { withoutUndefined } from '@onnx-lora/sdk/data';
import type { Generation } from '@onnx-lora/sdk/plugin';
import { type Command, Option } from 'commander';
import type { Context } from '../context.ts';
import { collect, commandOf, type Flags } from '../options.ts';
import { requireFlag } from '../sources.ts';
import { usageError } from '../terminal/errors.ts';
import { Progress } from '../terminal/progress.ts';
import { hanging } from '../terminal/table.ts';

interface BuildFlags extends Flags {
  readonly out?: string;
  readonly opset?: string;
  readonly dtype?: string;
  readonly class?: string;
  readonly names?: string;
  readonly form?: GraphForm;
  readonly ignore?: readonly string[];
}

/** Line width of the text. */
const WIDTH = 100;

/** Storage types of weights: floats, or bits of the quantizer. */
const types: Readonly<Record<string, WeightType | QuantizedBits>> = {
  fp32: 'float32',
  fp16: 'float16',
  int8: 8,
  q4: 4,
};

/** Makes the command. */
export function buildCommand(context: Context): Command {
  return commandOf({
    name: 'build',
    description:
      "Builds an ONNX model from a Hugging Face checkpoint, without Python, in the layout of published ONNX models: onnx/model.onnx, or a file for each part of the model, and the checkpoint's other files. A part has one name, alone or beside others: a tower of CLIP or SigLIP is text_model.onnx or vision_model.onnx. Unknown fields of config.json and missing or superfluous tensors are errors. Other commands also take a checkpoint in place of a model.",
    words: { '<checkpoint>': 'folder with config.json and model.safetensors, or its shards and their index' },
    flags: [
      ['out', 'the folder to write'],
      new Option('--dtype <type>', `type of the weights: ${Object.keys(types).join(', ')} (default: fp32)`),
      new Option(
        '--form <form>',
        "plain: ONNX operators; fused: ONNX Runtime's fused operators where it has them (default: plain)",
      ),
      new Option('--opset <n>', 'ONNX opset version (default: 17)'),
      new Option('--class <name>', "transformers class to build instead of config.json's, such as T5EncoderModel"),
      new Option(
        '--names <version>',
        'module names of transformers 4 or 5 (default: the version in config.json, else 4)',
      ),
      new Option('--ignore <name>', 'a tensor, or a field of config.json, to ignore; repeatable').argParser(collect),
      'overwrite',
      'output',
    ],
    examples: [
      'onnx-lora build checkpoints/my-vit --out models/my-vit',
      'onnx-lora build checkpoints/my-llm --dtype q4 --out models/my-llm-4bit',
      'onnx-lora train checkpoints/my-vit --data photos --out runs/photos   # builds it in memory',
    ],
  }).action(async (folder: string, flags: BuildFlags) => {
    const out = requireFlag(flags.out, 'out', 'name the folder to write');
    const type = typeOf(flags.dtype ?? 'fp32');
    const ofGraph = withoutUndefined({
      opset: flags.opset === undefined ? undefined : Number(flags.opset),
      architecture: flags.class,
      form: flags.form,
      names: flags.names === undefined ? undefined : (Number(flags.names) as Generation),
      ignore: flags.ignore,
    });
    const options = { ...ofGraph, families: context.registry.families, overwrite: flags.overwrite ?? false };
    const isFloat = typeof type === 'string' && type !== 'nf4';
    if (!isFloat && Object.keys(ofGraph).length > 0) throw usageError('--opset, --form, --class, --names and --ignore are not taken with --dtype int8 or q4. Build in fp32 first, then use onnx-lora quantize.'); // prettier-ignore
    const proof = await proved(folder, options);
    if (isFloat) {
      const built = await buildModel(folder, out, { ...options, weights: type });
      context.terminal.result(flags, built, () => [...asText(built, out), ...proof]);
      return;
    }
    const progress = new Progress(context.terminal, flags);
    const model = await context.openModel(folder);
    const result = await quantize(model, out, {
      bits: type as QuantizedBits,
      overwrite: flags.overwrite ?? false,
      onLayer: (done, total, module) => progress.showLive(done, total, `${done} of ${total} layers: ${module}`),
    });
    context.terminal.result(flags, result, () => [`Wrote ${result.files.join(' and ')}.`, ...proof]);
  });
}

/** Compares the graphs with golden numbers, if any. @throws OnnxLoraError `MODEL_INVALID` where they differ */
async function proved(folder: string, options: BuildOptions): Promise<string[]> {
  if (!existsSync(path.join(folder, 'golden.safetensors'))) return [];
  const { compareRuns, readCheckpointCase } = await import('@onnx-lora/testing');
  const runs = readCheckpointCase(folder)?.runs;
  if (!runs) return [];
  const { graphs } = await buildGraphs(folder, options);
  const { status, detail } = await compareRuns(graphs, runs, folder, new OrtRuntime());
  if (status === 'passed') return [`It gives the numbers that lie beside the checkpoint: ${detail}.`];
  throw new OnnxLoraError(
    'MODEL_INVALID',
    `The graph does not give the numbers that lie beside the checkpoint "${folder}": ${detail}. Nothing was written. Correct config.json, or remove golden.safetensors to build it all the same.`,
  );
}

/** @throws OnnxLoraError `CONFIG_INVALID` */
function typeOf(name: string): WeightType | QuantizedBits {
  const found = Object.hasOwn(types, name) ? types[name] : undefined;
  if (found !== undefined) return found;
  throw usageError(`--dtype must be one of ${Object.keys(types).join(', ')}, but it is ${JSON.stringify(name)}.`);
}

function asText({ architecture, files, config, leftOut }: BuiltModel, out: string): string[] {
  const names = files.map((file) => path.relative(out, file)).join(', ');
  const taken = Object.entries(config).map(([name, value]) => `${name} ${JSON.stringify(value)}`);
  const left = `Left out, as ${architecture} has no use for ${leftOut.length === 1 ? 'it' : 'them'}: `;
  return [
    `Wrote ${out}: ${architecture} as ${names}.`,
    hanging(`From config.json: ${taken.join(', ')}.`, WIDTH, 2),
    ...(leftOut.length === 0 ? [] : [hanging(`${left}${leftOut.join(', ')}.`, WIDTH, 2)]),
  ];
}
