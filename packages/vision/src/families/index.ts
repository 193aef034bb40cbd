/** @file All families of the vision package. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { beit } from './beit.ts';
import { clip } from './clip.ts';
import { convnext } from './convnext.ts';
import { deit } from './deit.ts';
import { detr } from './detr.ts';
import { dinov2 } from './dinov2.ts';
import { dinov3Convnext } from './dinov3Convnext.ts';
import { dinov3Vit } from './dinov3Vit.ts';
import { efficientSam } from './efficientSam.ts';
import { mobileSam } from './mobileSam.ts';
import { mobilevit } from './mobilevit.ts';
import { mobilevitv2 } from './mobilevitv2.ts';
import { resnet } from './resnet.ts';
import { sam } from './sam.ts';
import { sam2 } from './sam2.ts';
import { segformer } from './segformer.ts';
import { siglip } from './siglip.ts';
import { swin } from './swin.ts';
import { swinv2 } from './swinv2.ts';
import { timmBeit } from './timmBeit.ts';
import { timmVit } from './timmVit.ts';
import { torchvisionVit } from './torchvisionVit.ts';

import { vit } from './vit.ts';
import { vitMae } from './vitMae.ts';

/** Every vision family, for `openModel(source, { families: visionFamilies })`. */
export const visionFamilies: readonly DescribedFamily[] = [
  vit,
  deit,
  beit,
  vitMae,
  dinov2,
  dinov3Vit,
  dinov3Convnext,
  swin,
  swinv2,
  clip,
  siglip,
  convnext,
  resnet,
  mobilevit,
  mobilevitv2,
  segformer,
  detr,
  sam,
  sam2,
  mobileSam,
  efficientSam,
  timmVit,
  timmBeit,
  torchvisionVit,
];
