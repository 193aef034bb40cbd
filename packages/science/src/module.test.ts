/** @file Tests that the module resolves in a container. */

import { MODEL_FAMILY, PREPROCESSOR_FACTORY } from '@onnx-lora/sdk';
import { Container } from 'inversify';
import { expect, it } from 'vitest';
import { scienceModule } from './module.ts';

it('scienceModule brings families, and no preprocessor that makes a tensor of a file', async () => {
  const container = new Container();
  container.load(scienceModule);
  expect(container.getAll(MODEL_FAMILY).map(({ name, domain }) => `${domain}/${name}`)).toEqual([
    'science/esm',
    'science/bert',
  ]);
  expect(container.isBound(PREPROCESSOR_FACTORY)).toBe(false);
});
