/** @file `onnx-lora generate`: pictures from prompts. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { openPipeline, type Picture, schedulerNames } from '@onnx-lora/diffusion';
import { makeFolder, withoutUndefined, writeFileAtomic } from '@onnx-lora/sdk/data';
import { encodePng, resize, ImageFileDecoder } from '@onnx-lora/vision';
import { type Command, Option } from 'commander';
import type { Context } from '../context.ts';
import { collect, commandOf, type Flags } from '../options.ts';
import { numberFlag, requireFlag, requireFree } from '../sources.ts';
import { Progress } from '../terminal/progress.ts';
import { usageError } from '../terminal/errors.ts';

interface GenerateFlags extends Flags {
  readonly prompt?: readonly string[];
  readonly negative?: string;
  readonly adapter?: readonly string[];
  readonly out?: string;
  readonly image?: string;
  readonly mask?: string;
  readonly scheduler?: string;
}

/** Numbers of a picture, with their flags. */
const numbers = ['steps', 'guidance', 'seed', 'width', 'height', 'strength', 'eta', 'count'] as const;

/** Makes the command. */
export function generateCommand(context: Context): Command {
  return commandOf({
    name: 'generate',
    description:
      'Makes pictures from prompts with a pipeline of Stable Diffusion that Optimum has exported. Adapters are LoRA files of any trainer, weighted by a number after a colon; several act together. The same seed gives the same picture.',
    words: { '<pipeline>': 'folder with model_index.json' },
    flags: [
      new Option('--prompt <text>', 'what the picture shows; repeatable, for one picture each').argParser(collect),
      new Option('--negative <text>', 'what the pictures are to be far from'),
      new Option('--adapter <file[:weight]>', 'LoRA file or folder, and its weight (default: 1); repeatable').argParser(
        collect,
      ),
      new Option('--count <n>', 'pictures of each prompt, with seeds counting on (default: 1)'),
      new Option('--seed <n>', 'seed of the first picture (default: 0)'),
      new Option('--steps <n>', 'steps (default: 50)'),
      new Option('--guidance <x>', 'weight of the prompt; 1 is none, in half the time (default: 7.5)'),
      new Option('--width <n>', "width in pixels (default: the model's)"),
      new Option('--height <n>', "height in pixels (default: the model's)"),
      new Option('--scheduler <name>', "sampler (default: the pipeline's)").choices(Object.keys(schedulerNames)),
      new Option('--eta <x>', 'noise of DDIM, from 0 (the default) to 1'),
      new Option('--image <file>', 'picture to begin with'),
      new Option('--strength <x>', 'with --image: share of the steps, 0 keeps the picture (default: 0.8)'),
      new Option('--mask <file>', 'with --image: light where the picture is to change'),
      new Option('-o, --out <folder>', 'folder of the pictures (default: pictures)'),
      'overwrite',
      'output',
    ],
    examples: [
      "onnx-lora generate models/sd --prompt 'an owl at night' --steps 20",
      "onnx-lora generate models/sd --prompt 'an owl' --adapter ink.safetensors:0.8 --adapter paper.safetensors:0.4",
      "onnx-lora generate models/sd --prompt 'an owl' --image sketch.png --strength 0.6 --out owls",
    ],
  }).action(async (folder: string, flags: GenerateFlags) => {
    const prompts = flags.prompt ?? [];
    requireFlag(prompts[0], 'prompt', 'say what the picture shows');
    const given = Object.fromEntries(
      numbers.map((name) => [name, numberFlag(name, flags[name] as string | undefined)]),
    );
    const { count = 1, seed = 0, width, height, ...settings } = given;
    if (!Number.isInteger(count) || count < 1 || count > 1000)
      throw usageError(`--count is ${count}, and must be a whole number from 1 to 1000.`);
    const all = prompts.flatMap((prompt) => Array.from({ length: count }, (_, i) => ({ prompt, seed: seed + i })));
    const out = flags.out ?? 'pictures';
    if (/\.(?:png|jpe?g|webp)$/i.test(out))
      throw usageError(`--out is the folder of the pictures, and "${out}" looks like a file. Name a folder; pictures are called after prompt and seed.`); // prettier-ignore
    const files = all.map((each) => path.join(out, fileName(each.prompt, each.seed)));
    const twice = files.find((file, i) => files.indexOf(file) < i);
    if (twice !== undefined)
      throw usageError(`Two pictures would both be written to "${twice}". Ask for them one after the other.`);
    requireFree(files, flags);
    const progress = new Progress(context.terminal, flags);
    await using pipeline = await openPipeline(folder);
    const adapter: Record<string, number> = {};
    for (const [file, weight] of (flags.adapter ?? []).map(weighted)) {
      adapter[file] = (adapter[file] ?? 0) + weight;
      await pipeline.add(file, file);
    }
    const size = pipeline.size({ width, height });
    const [image, mask] = await Promise.all([flags.image, flags.mask].map((file) => picture(file, size)));
    // One after the other, so that any number fits into memory.
    for (const [i, { prompt, seed: own }] of all.entries()) {
      const [made] = await pipeline.generate({
        prompts: prompt,
        seed: own,
        ...size,
        adapter: Object.keys(adapter).length > 0 ? adapter : null,
        ...withoutUndefined({ ...settings, negativePrompts: flags.negative, scheduler: flags.scheduler, image, mask }),
        onStep: ({ step, steps }) =>
          progress.show(i * steps + step, all.length * steps, `picture ${i + 1} of ${all.length}: step ${step} of ${steps}`), // prettier-ignore
      });
      makeFolder(out);
      await writeFileAtomic(files[i]!, await encodePng(made!));
    }
    context.terminal.result(flags, { pictures: all.map((each, i) => ({ ...each, file: files[i] })) }, () => files);
  });
}

/** `FILE`, or `FILE:WEIGHT` where no file has this name. */
function weighted(text: string): readonly [file: string, weight: number] {
  const found = /^(.+):(-?\d*\.?\d+)$/.exec(text);
  return found && !existsSync(text) ? [found[1]!, Number(found[2])] : [text, 1];
}

/** `an-owl-at-night-7.png`. */
function fileName(prompt: string, seed: number): string {
  const words = prompt.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? ['picture'];
  return `${words.join('-').slice(0, 60)}-${seed}.png`;
}

async function picture(
  file: string | undefined,
  size: { readonly width: number; readonly height: number },
): Promise<Picture | undefined> {
  if (file === undefined) return undefined;
  return resize(await new ImageFileDecoder().decode(file), size.height, size.width, 'lanczos');
}
