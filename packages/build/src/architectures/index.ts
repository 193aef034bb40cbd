/** @file All architectures, by `model_type`. */

import type { Architecture } from '../architecture.ts';
import { albert } from './albert.ts';
import { ast } from './ast.ts';
import { beit } from './beit.ts';
import { bert } from './bert.ts';
import { clip, clipText, clipVision } from './clip.ts';
import { convnext } from './convnext.ts';
import { debertaV2 } from './deberta.ts';
import { deit } from './deit.ts';
import { detr } from './detr.ts';
import { dinov2, dinov2WithRegisters } from './dinov2.ts';
import { dinov3 } from './dinov3.ts';
import { distilbert } from './distilbert.ts';
import { electra } from './electra.ts';
import { esm } from './esm.ts';
import { gemma, gemma2 } from './gemma.ts';
import { gpt2 } from './gpt2.ts';
import { gptNeox } from './gptNeox.ts';
import { hubert } from './hubert.ts';
import { llama, mistral, qwen2, qwen3 } from './llama.ts';
import { modernbert } from './modernbert.ts';
import { moonshine } from './moonshine.ts';
import { mpnet } from './mpnet.ts';
import { phi3 } from './phi3.ts';
import { resnet } from './resnet.ts';
import { camembert, roberta, xlmRoberta } from './roberta.ts';
import { sam } from './sam.ts';
import { segformer } from './segformer.ts';
import { siglip, siglipText, siglipVision } from './siglip.ts';
import { swin } from './swin.ts';
import { swinv2 } from './swinv2.ts';
import { mt5, t5 } from './t5.ts';
import { vit } from './vit.ts';
import { wav2vec2 } from './wav2vec2.ts';
import { wavlm } from './wavlm.ts';
import { whisper } from './whisper.ts';

/** What can be built. */
export const architectures: readonly Architecture[] = [
  albert,
  ast,
  beit,
  bert,
  camembert,
  clip,
  clipText,
  clipVision,
  convnext,
  debertaV2,
  deit,
  detr,
  dinov2,
  dinov2WithRegisters,
  dinov3,
  distilbert,
  electra,
  esm,
  gemma,
  gemma2,
  gpt2,
  gptNeox,
  hubert,
  llama,
  mistral,
  modernbert,
  moonshine,
  mpnet,
  mt5,
  phi3,
  qwen2,
  qwen3,
  resnet,
  roberta,
  sam,
  segformer,
  siglip,
  siglipText,
  siglipVision,
  swin,
  swinv2,
  t5,
  vit,
  wav2vec2,
  wavlm,
  whisper,
  xlmRoberta,
];
