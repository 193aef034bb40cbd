/** @file All architectures, by `model_type`. */

import type { Architecture } from '../architecture.ts';
import { ast } from './ast.ts';
import { beit } from './beit.ts';
import { bert } from './bert.ts';
import { clip, clipText, clipVision } from './clip.ts';
import { convnext } from './convnext.ts';
import { deit } from './deit.ts';
import { detr } from './detr.ts';
import { dinov2, dinov2WithRegisters } from './dinov2.ts';
import { dinov3 } from './dinov3.ts';
import { llama, mistral, qwen2 } from './llama.ts';
import { resnet } from './resnet.ts';
import { sam } from './sam.ts';
import { segformer } from './segformer.ts';
import { siglip, siglipText, siglipVision } from './siglip.ts';
import { swin } from './swin.ts';
import { swinv2 } from './swinv2.ts';
import { vit } from './vit.ts';

/** What can be built. */
export const architectures: readonly Architecture[] = [ast, beit, bert, clip, clipText, clipVision, convnext, deit, detr, dinov2, dinov2WithRegisters, dinov3, llama, mistral, qwen2, resnet, sam, segformer, siglip, siglipText, siglipVision, swin, swinv2, vit];
