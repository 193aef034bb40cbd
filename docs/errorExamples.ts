/** @file For each error code a call that ends in it: a command, or a program of `docs/errors`. */

import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ErrorCode } from '@onnx-lora/sdk';
import { writeDigits } from '../test/fixtures/digits.ts';

/** How to end in an error. */
export type ErrorExample = {
  /** The mistake, if the call does not show it. */
  readonly about?: string;
  /** A part of the message that differs between machines, and its replacement on the page. */
  readonly varies?: readonly [found: RegExp, shown: string];
} & ({ readonly command: string } | { readonly program: string; readonly run: () => Promise<unknown> });

/** One example for each code. */
export const errorExamples: Readonly<Record<ErrorCode, ErrorExample>> = {
  FILE_NOT_FOUND: { command: 'onnx-lora train models/vit --data fotos' },
  FILE_INVALID: {
    about: 'The feeds were cloned without Git LFS.',
    command: 'onnx-lora run models/vit --feeds feeds.safetensors -o outputs.safetensors',
  },
  MODEL_INVALID: {
    about: 'The download ended after the first megabyte.',
    command: 'onnx-lora inspect models/cut.onnx',
  },
  MODEL_UNSUPPORTED: { command: 'onnx-lora train models/vit --data photos --task semantic-segmentation' },
  TARGET_NOT_FOUND: { command: 'onnx-lora inspect models/vit --targets querry' },
  ADAPTER_INVALID: { command: 'onnx-lora convert photos photos.onnx_adapter' },
  ADAPTER_MISMATCH: {
    about: 'The adapter is that of a language model.',
    command: 'onnx-lora predict models/vit photos/3/0000.png --adapter adapters/bert',
  },
  CONFIG_INVALID: { command: 'onnx-lora train models/vit --data photos --r 0' },
  DATA_INVALID: { about: 'One of the classes has no images.', command: 'onnx-lora train models/vit --data scans' },
  INPUT_INVALID: {
    about: "The model's input is called `pixel_values`.",
    program: 'inputInvalid.ts',
    run: () => import('./errors/inputInvalid.ts'),
  },
  NO_GRADIENT: {
    about: 'The loss is a determinant, and `Det` has no rule.',
    program: 'noGradient.ts',
    run: () => import('./errors/noGradient.ts'),
  },
  LOSS_NOT_FINITE: {
    command: 'onnx-lora train models/vit --data photos --validation 0 --lr 1e30 --out runs/photos',
  },
  OUT_OF_MEMORY: {
    about: 'The loss repeats the scores far more often than any memory can hold.',
    program: 'outOfMemory.ts',
    run: () => import('./errors/outOfMemory.ts'),
    varies: [/\(ONNX Runtime failed.*?\)\. /s, '(ONNX Runtime failed on "models/vit": …). '],
  },
  PROVIDER_UNAVAILABLE: {
    about: 'DirectML is there on Windows only.',
    command: 'onnx-lora eval models/vit --data photos --provider dml',
    varies: [/for \w+ \w+ has(.*)Use .*;/, 'for linux x64 has$1Use cpu or webgpu;'],
  },
  RUNTIME_FAILED: { program: 'runtimeFailed.ts', run: () => import('./errors/runtimeFailed.ts') },
  CANCELLED: { program: 'cancelled.ts', run: () => import('./errors/cancelled.ts') },
  OVERLOADED: {
    about: 'One of three runs computes, one may wait, and the third is refused.',
    program: 'overloaded.ts',
    run: () => import('./errors/overloaded.ts'),
  },
  PLUGIN_INVALID: { program: 'pluginInvalid.ts', run: () => import('./errors/pluginInvalid.ts') },
};

/** Writes into `folder` what the examples speak of. */
export function writeExampleFiles(folder: string): void {
  const at = (name: string): string => join(folder, name);
  const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
  for (const name of ['models', 'adapters', 'scans/5']) mkdirSync(at(name), { recursive: true });
  symlinkSync(here('examples/models/vit-mnist'), at('models/vit'));
  symlinkSync(here('../test/fixtures/cases/bert-fused-ortopt/adapter'), at('adapters/bert'));
  writeFileSync(at('models/cut.onnx'), readFileSync(at('models/vit/onnx/model.onnx')).subarray(0, 1_000_000));
  writeFileSync(at('feeds.safetensors'), 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n');
  for (const file of writeDigits(at('photos'), { perClass: 2, classes: [3, 8] })) {
    const copy = file.replace(at('photos'), at('scans'));
    mkdirSync(join(copy, '..'), { recursive: true });
    copyFileSync(file, copy);
  }
}
