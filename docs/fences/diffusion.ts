/** @file A pipeline, LoRA files and pictures of the pages about pictures from text. */

import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { encodePng } from '@onnx-lora/vision';
import { copyOf, type Fixture, type Fixtures } from './fixtures.ts';

/** Pictures with a caption beside each. */
const sketches: Fixture = async (folder) => {
  await mkdir(folder);
  for (let i = 0; i < 4; i++) {
    const data = new Uint8Array(24 * 24 * 3).map((_, at) => (Math.floor(at / 3) % 24 < 6 + 3 * i ? 230 : 20));
    await writeFile(path.join(folder, `${i}.png`), await encodePng({ width: 24, height: 24, data }));
    await writeFile(path.join(folder, `${i}.txt`), 'an owl\n');
  }
};

const style = copyOf('packages/diffusion/fixtures/formats/kohya/lora.safetensors');

export const diffusionFiles: Fixtures = {
  'models/stable-diffusion': copyOf('packages/diffusion/fixtures/sd-tiny'),
  'ink.safetensors': style,
  'paper.safetensors': copyOf('packages/diffusion/fixtures/formats/kohya-fp16/lora.safetensors'),
  'adapters/owl': copyOf('packages/diffusion/fixtures/sd-tiny/adapter'),
  sketches,
};
