/** @file Binds what this package brings. */

import { MODEL_FAMILY } from '@onnx-lora/sdk';
import { ContainerModule } from 'inversify';
import { esm } from './families/esm.ts';

/** Science: ESM's family. Sequences are made into feeds by `SequencePreprocessor`, which is used with `new`. */
export const scienceModule: ContainerModule = new ContainerModule(({ bind }) => {
  bind(MODEL_FAMILY)
    .toResolvedValue(() => esm, [])
    .inSingletonScope();
});
