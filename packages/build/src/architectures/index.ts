/** @file All architectures. */

import type { Architecture } from '../architecture.ts';
import { albert } from './texts/albert.ts';
import { ast } from './audio/ast.ts';
import { beit, data2vecVision } from './images/beit.ts';
import { bert, ernie } from './texts/bert.ts';
import { clip, clipText, clipVision } from './images/clip.ts';
import { conditionalDetr } from './images/conditionalDetr.ts';
import { convnext } from './images/convnext.ts';
import { debertaV2 } from './texts/deberta.ts';
import { deformableDetr } from './images/deformableDetr.ts';
import { deit } from './images/deit.ts';
import { detr } from './images/detr.ts';
import { dFine } from './images/dFine.ts';
import { dinov2, dinov2WithRegisters } from './images/dinov2.ts';
import { dinov3 } from './images/dinov3.ts';
import { distilbert } from './texts/distilbert.ts';
import { electra } from './texts/electra.ts';
import { esm } from './texts/esm.ts';
import { gemma, gemma2 } from './decoders/gemma.ts';
import { gpt2 } from './decoders/gpt2.ts';
import { gptNeox } from './decoders/gptNeox.ts';
import { granite, llama, ministral, mistral, qwen2, qwen3, seedOss, smollm3 } from './decoders/llama.ts';
import { modernbert } from './texts/modernbert.ts';
import { moonshine } from './audio/moonshine.ts';
import { mpnet } from './texts/mpnet.ts';
import { owlv2, owlvit } from './images/owlvit.ts';
import { phi3 } from './decoders/phi3.ts';
import { resnet } from './images/resnet.ts';
import { rfDetr } from './images/rfDetr.ts';
import { camembert, data2vecText, roberta, xlmRoberta } from './texts/roberta.ts';
import { rtDetr, rtDetrV2 } from './images/rtDetr.ts';
import { sam } from './images/sam.ts';
import { segformer } from './images/segformer.ts';
import { siglip, siglipText, siglipVision } from './images/siglip.ts';
import { swin } from './images/swin.ts';
import { swinv2 } from './images/swinv2.ts';
import { mt5, t5 } from './texts/t5.ts';
import { ijepa, vit, vitMsn } from './images/vit.ts';
import { yolos } from './images/yolos.ts';
import { data2vecAudio, hubert, unispeech, unispeechSat, wav2vec2 } from './audio/wav2vec2.ts';
import { wavlm } from './audio/wavlm.ts';
import { whisper } from './audio/whisper.ts';

/** The architectures that can be built. */
export const architectures: readonly Architecture[] = [
  albert,
  ast,
  beit,
  bert,
  camembert,
  clip,
  clipText,
  clipVision,
  conditionalDetr,
  convnext,
  data2vecAudio,
  data2vecText,
  data2vecVision,
  debertaV2,
  deformableDetr,
  deit,
  detr,
  dFine,
  dinov2,
  dinov2WithRegisters,
  dinov3,
  distilbert,
  electra,
  ernie,
  esm,
  gemma,
  gemma2,
  gpt2,
  granite,
  gptNeox,
  hubert,
  ijepa,
  llama,
  ministral,
  mistral,
  modernbert,
  moonshine,
  mpnet,
  mt5,
  owlv2,
  owlvit,
  phi3,
  qwen2,
  qwen3,
  resnet,
  rfDetr,
  roberta,
  rtDetr,
  rtDetrV2,
  sam,
  seedOss,
  segformer,
  siglip,
  siglipText,
  siglipVision,
  smollm3,
  swin,
  swinv2,
  t5,
  unispeech,
  unispeechSat,
  vit,
  vitMsn,
  wav2vec2,
  wavlm,
  whisper,
  xlmRoberta,
  yolos,
];
