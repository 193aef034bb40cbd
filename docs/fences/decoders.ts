/** @file The language model of the pages about texts. */

import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { writeOnnx } from '@onnx-lora/sdk/plugin';
import { sizes } from '../../test/support/decoderWeights.ts';
import { smallDecoders } from '../../test/support/smallDecoders.ts';
import type { Fixtures } from './fixtures.ts';

export const decoderFolders: Fixtures = {
  'models/tinyllama': async (folder) => {
    await mkdir(folder, { recursive: true });
    const config = { model_type: 'llama', max_position_embeddings: sizes.positions, rope_theta: 100 };
    await writeFile(path.join(folder, 'config.json'), JSON.stringify(config));
    writeOnnx(path.join(folder, 'model.onnx'), smallDecoders({ attention: 'grouped' }).builder);
  },
};
