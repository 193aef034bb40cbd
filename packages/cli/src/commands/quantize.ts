/** @file `onnx-lora quantize`: a file of fewer bits from a model in float32. */

import { quantize, type QuantizedBits, type QuantizeResult } from '@onnx-lora/sdk';
import { quantizedBits } from '@onnx-lora/sdk/core';
import { type Command, Option } from 'commander';
import type { Context } from '../context.ts';
import { commandOf, type Flags, modelWord } from '../options.ts';
import { loraOptions } from '../settings/adapter.ts';
import { readSettings } from '../settings/readSettings.ts';
import { oneModel, openNamed, requireFlag } from '../sources.ts';
import { usageError } from '../terminal/errors.ts';
import { Progress } from '../terminal/progress.ts';
import { formatTable, inBytes, percent } from '../terminal/table.ts';

interface QuantizeFlags extends Flags {
  readonly bits?: string;
  readonly blockSize?: string;
  readonly maxError?: string;
}

/** Makes the command. */
export function quantizeCommand(context: Context): Command {
  return commandOf({
    name: 'quantize',
    summary: 'write a model with its linear layers in 8 or 4 bits',
    description:
      'Writes a file for plain ONNX Runtime with the weights of linear layers in fewer bits, and says how far each is off. 8 computes in integers: about a quarter as large, and faster. 4 and nf4 are for memory: about a seventh as large. Modules keep their paths, so that adapters are trained on the file as on any other. What is not linear, what other layers share, and layers that would lose too much stay as they are, and are named.',
    words: modelWord,
    flags: [
      'model',
      new Option('--bits <n>', 'how many: 8, 4 or nf4, the 4 bits of QLoRA'),
      ['targets', 'layers to quantise, as train --targets names them (default: all that are linear)'],
      ['excludeModules', 'layers to leave in float32, such as lm_head'],
      new Option('--block-size <n>', 'with 4 and nf4: numbers that have one step (default: 32, and 64 for nf4)'),
      new Option(
        '--max-error <x>',
        'layers that are further off stay in float32, in parts of their norm (default: 0.05 with 8 bits, 0.2 with 4)',
      ),
      ['out', 'a folder for the model and what lies beside the base, or the lone .onnx file to write'],
      'overwrite',
      'output',
    ],
    examples: [
      'onnx-lora quantize models/vit --bits 8 --out models/vit-int8',
      'onnx-lora quantize models/llm --bits 4 --exclude-modules lm_head --out models/llm-4bit',
      'onnx-lora train models/vit-int8 --data photos --out runs/photos   # an adapter on it, as on any other',
    ],
  }).action(async (word: string | undefined, flags: QuantizeFlags) => {
    const { terminal, registry } = context;
    const settings = await readSettings(flags, undefined);
    const bits = bitsOf(flags.bits);
    const [blockSize, maxError] = [numberOf('block-size', flags.blockSize), numberOf('max-error', flags.maxError)];
    const out = requireFlag(settings.out, 'out', 'name the .onnx file or the folder to write');
    const model = await openNamed(oneModel(word, flags['model'], settings), registry());
    const { targetModules, excludeModules } = loraOptions(settings);
    const progress = new Progress(terminal, flags);
    const result = await quantize(model, out, {
      bits,
      ...(targetModules === undefined ? {} : { targetModules }),
      ...(excludeModules === undefined ? {} : { excludeModules }),
      ...(blockSize === undefined ? {} : { blockSize }),
      ...(maxError === undefined ? {} : { maxError }),
      overwrite: flags.overwrite ?? false,
      onLayer: (done, total, module) => progress.showLive(done, total, `${done} of ${total} layers: ${module}`),
    });
    terminal.result(flags, result, () => asText(result, out));
  });
}

/** @throws OnnxLoraError `CONFIG_INVALID` */
function bitsOf(text: string | undefined): QuantizedBits {
  if (text === undefined) throw usageError(`--bits is missing: say ${quantizedBits.join(', ')}.`);
  const found = quantizedBits.find((each) => String(each) === text.toLowerCase());
  if (found !== undefined) return found;
  throw usageError(`--bits must be one of ${quantizedBits.join(', ')}, but it is ${JSON.stringify(text)}.`);
}

/** @throws OnnxLoraError `CONFIG_INVALID` for text that is no number */
function numberOf(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const number = text.trim() === '' ? NaN : Number(text);
  if (Number.isFinite(number)) return number;
  throw usageError(`--${flag} must be a number, but it is ${JSON.stringify(text)}.`);
}

/** How many of the layers that lost most are shown; `--json` has all. */
const SHOWN = 5;

function asText({ files, bytesBefore, bytesAfter, layers, kept }: QuantizeResult, out: string): string[] {
  const worst = layers.toSorted((a, b) => b.error - a.error).slice(0, SHOWN);
  const models = files.filter((file) => file.endsWith('.onnx'));
  return [
    `Wrote ${models[0] === out ? out : `${out} (${models.length === 1 ? 'model.onnx' : `${models.length} files`}, and what lies beside)`}: ${layers.length} layers in fewer bits, ${inBytes(bytesBefore)} → ${inBytes(bytesAfter)}.`,
    `Weights that are off most, of ${layers.length}:`,
    ...formatTable(worst.map(({ module, error }) => [`  ${module}`, percent(error)])),
    ...(kept.length === 0 ? [] : [`As they were, ${kept.length}:`]),
    ...kept.slice(0, SHOWN).map(({ module, reason }) => `  ${module} ${reason}`),
    ...(kept.length > SHOWN ? [`  … and ${kept.length - SHOWN} more (--json lists them).`] : []),
  ];
}
