/** @file Binds what this package brings. */

import { MODEL_FAMILY } from '@onnx-lora/sdk';
import { ContainerModule } from 'inversify';
import { scienceFamilies } from './families/index.ts';

/** Science: the families. Sequences are made into feeds by `SequencePreprocessor`, which is used with `new`. */
export const scienceModule: ContainerModule = new ContainerModule(({ bind }) => {
  for (const family of scienceFamilies) bind(MODEL_FAMILY).toConstantValue(family);
});
