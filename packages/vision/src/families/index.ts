/** @file All families of the vision package. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { beit, deit, vit, vitMae, dinov2, dinov3Vit } from './vit.ts';
import { clip, siglip } from './clip.ts';
import { convnext, dinov3Convnext, resnet } from './convnets.ts';
import { conditionalDetr, deformableDetr, dFine, owlvit, rfDetr, rtDetr, yolos } from './detectors.ts';
import { detr } from './detr.ts';
import { efficientSam, mobileSam, sam, sam2 } from './sam.ts';
import { mobilevit, mobilevitv2, segformer, swin, swinv2 } from './stagedVits.ts';
import { timmBeit, timmVit, torchvisionVit } from './timm.ts';

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
  conditionalDetr,
  deformableDetr,
  rtDetr,
  dFine,
  yolos,
  rfDetr,
  owlvit,
  sam,
  sam2,
  mobileSam,
  efficientSam,
  timmVit,
  timmBeit,
  torchvisionVit,
];
