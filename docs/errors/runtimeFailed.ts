/** @file RUNTIME_FAILED: a session that has been released. */

import { float32, openModel } from '@onnx-lora/sdk';

const model = await openModel('models/vit');
const session = await model.session();
await session.release();
await session.run({ pixel_values: float32(new Float32Array(3 * 28 * 28), [1, 3, 28, 28]) });
