/** @file A service that one plugin lends to another: a reader of samples, and a preprocessor that needs one. */

import { readFile } from 'node:fs/promises';
import { float32 } from '@onnx-lora/sdk';
import { token, type Token, definePlugin, type Plugin, type PreprocessorFactory, binding } from '@onnx-lora/sdk/plugin'; // prettier-ignore

// #region key
/** Reads the samples of a file. */
export type SampleReader = (file: string) => Promise<Float32Array>;

/** Both plugins import the key; it has the type of what is behind it. */
export const SAMPLE_READER: Token<SampleReader> = token('sample-reader', {
  usuallyFrom: 'onnx-lora-samples',
});
// #endregion key

// #region lender
/** Lends a reader of text files; as a default it stands back where another plugin provides one. */
export const samplesPlugin: Plugin = definePlugin({
  name: 'onnx-lora-samples',
  bindings: [
    binding(
      SAMPLE_READER,
      () => async (file) => Float32Array.from((await readFile(file, 'utf8')).trim().split('\n'), Number),
      { isDefault: true },
    ),
  ],
});
// #endregion lender

// #region borrower
/** Gets a reader, whoever provides it. */
export const loudnessPlugin: Plugin = definePlugin({
  name: 'onnx-lora-loudness',
  needs: { read: SAMPLE_READER },
  preprocessors: ({ read }) => [loudness(read)],
});
// #endregion borrower

/** The root of the mean square of all samples: `[1]`. */
function loudness(read: SampleReader): PreprocessorFactory {
  return {
    domain: 'loudness',
    fileEndings: ['.txt'],
    recognises: (config) => config['processor_class'] === 'LoudnessProcessor',
    create: () => ({
      preprocess: async (file) => {
        const samples = await read(file);
        const squares = samples.reduce((sum, sample) => sum + sample * sample, 0);
        return float32([Math.sqrt(squares / samples.length)], [1]);
      },
    }),
  };
}
