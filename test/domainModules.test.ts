/** @file Domain packages loaded side by side bring all their families, none twice. */

import { scienceModule } from '@onnx-lora/science';
import { MODEL_FAMILY, PREPROCESSOR_FACTORY } from '@onnx-lora/sdk';
import { speechModule } from '@onnx-lora/speech';
import { Container } from 'inversify';
import { expect, it } from 'vitest';

it('speech and science together give every family once', async () => {
  const container = new Container();
  container.load(speechModule, scienceModule);
  const families = container.getAll(MODEL_FAMILY);
  expect(families.map(({ domain, name }) => `${domain}/${name}`)).toEqual([
    'speech/whisper',
    'speech/wav2vec2',
    'speech/audio-spectrogram-transformer',
    'science/esm',
    'science/bert',
  ]);
  expect(container.getAll(PREPROCESSOR_FACTORY)).toHaveLength(2);
  // Each recognises its own model and leaves the other's alone.
  for (const { name } of families) {
    const takers = families.filter((family) => family.recognise({ config: { model_type: name }, modulePaths: [] }));
    expect(takers.map((family) => family.name)).toEqual([name]);
  }
});
