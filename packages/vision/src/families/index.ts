/** @file All families of the vision package. */

import type { ModelFamily } from '@onnx-lora/sdk';
import { clip } from './clip.ts';
import { deit } from './deit.ts';
import { dinov2 } from './dinov2.ts';
import { sam } from './sam.ts';
import { siglip } from './siglip.ts';
import { swin } from './swin.ts';
import { vit } from './vit.ts';

/** Every vision family, for `openModel(source, { families: visionFamilies })`. */
export const visionFamilies: readonly ModelFamily[] = [vit, deit, dinov2, swin, clip, siglip, sam];
