/** @file CANCELLED: a run whose signal is aborted. */

import { float32, openModel } from '@onnx-lora/sdk';

const model = await openModel('models/vit');
const session = await model.session();
const pixel_values = float32(new Float32Array(3 * 28 * 28), [1, 3, 28, 28]);
await session.run({ pixel_values }, { signal: AbortSignal.abort() });
