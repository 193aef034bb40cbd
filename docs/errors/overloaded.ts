/** @file OVERLOADED: three runs at once, where one may compute and one may wait. */

import { float32, openModel } from '@onnx-lora/sdk';

const model = await openModel('models/vit');
const session = await model.session({ maxQueue: 1 });
const pixel_values = float32(new Float32Array(3 * 28 * 28), [1, 3, 28, 28]);
await Promise.all([1, 2, 3].map(() => session.run({ pixel_values })));
