/** @file INPUT_INVALID: an input under another name than the model's. */

import { float32, openModel } from '@onnx-lora/sdk';

const model = await openModel('models/vit');
const session = await model.session();
await session.run({ pixels: float32(new Float32Array(3 * 28 * 28), [1, 3, 28, 28]) });
