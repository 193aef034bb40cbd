/** @file The family MoLFormer. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { classifierNames, encoderModules } from '@onnx-lora/sequences';
import { scienceFamily } from './scienceFamily.ts';

/** MoLFormer as in its hub code: BERT's names, linear attention over random features, rotary positions. */
export const molformer: DescribedFamily = scienceFamily({
  name: 'molformer',
  title: 'MoLFormer',
  paper:
    'Ross et al., "Large-scale chemical language representations capture molecular structure and properties" (2022), doi:10.1038/s42256-022-00580-7',
  modelTypes: ['molformer'],
  signatures: [['^molformer.encoder.layer.{n}.attention.self.query']],
  names: {
    ...encoderModules,
    'embedding.output': ['^lm_head.decoder'],
    head: ['^lm_head.transform.dense', ...classifierNames, '^classifier.dense2'],
  },
  preprocessors: ['MolformerTokenizer'],
});
