/** @file All architectures, by `model_type`. */

import type { Architecture } from '../architecture.ts';
import { ast } from './ast.ts';
import { beit } from './beit.ts';
import { bert } from './bert.ts';
import { distilbert } from './distilbert.ts';
import { esm } from './esm.ts';
import { gemma, gemma2 } from './gemma.ts';
import { gpt2 } from './gpt2.ts';
import { gptNeox } from './gptNeox.ts';
import { llama, mistral, qwen2, qwen3 } from './llama.ts';
import { phi3 } from './phi3.ts';
import { camembert, roberta, xlmRoberta } from './roberta.ts';
import { vit } from './vit.ts';

/** What can be built. */
export const architectures: readonly Architecture[] = [
  bert,
  camembert,
  distilbert,
  esm,
  gemma,
  gemma2,
  gpt2,
  gptNeox,
  llama,
  mistral,
  phi3,
  qwen2,
  qwen3,
  roberta,
  vit,
  xlmRoberta,
];
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
export const architectures: readonly Architecture[] = [ast, beit, bert, clip, clipText, clipVision, convnext, deit, detr, dinov2, dinov2WithRegisters, dinov3, llama, mistral, qwen2, resnet, sam, segformer, siglip, siglipText, siglipVision, swin, swinv2, vit];
