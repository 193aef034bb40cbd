/** @file The families GPT-2, GPT-NeoX, OPT, BLOOM and Falcon. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { textFamily } from './textFamily.ts';

const block = 'h.{n}';

/**
 * GPT-2 under transformers' names, 4 and 5 alike: a joint query-key-value layer. The graph shows its transposed weights
 * (Conv1D, PEFT's `fan_in_fan_out`); adapters have the shapes of any linear layer's.
 */
export const gpt2: DescribedFamily = textFamily({
  name: 'gpt2',
  title: 'GPT-2 and DistilGPT2',
  paper: 'Radford et al., "Language Models are Unsupervised Multitask Learners" (2019)',
  modelTypes: ['gpt2'],
  signatures: [[`${block}.attn.c_attn`, `${block}.mlp.c_fc`]],
  names: {
    'attention.query-key-value': [`${block}.attn.c_attn`],
    'attention.output': [`${block}.attn.c_proj`],
    'mlp.up': [`${block}.mlp.c_fc`],
    'mlp.down': [`${block}.mlp.c_proj`],
    'embedding.token': ['wte'],
    'embedding.position': ['wpe'],
    'embedding.output': ['^lm_head'],
  },
  preprocessors: ['GPT2Tokenizer'],
});

const neoxLayer = 'layers.{n}';

/** GPT-NeoX and Pythia: a joint query-key-value layer, interleaved by head. transformers 5 renames the model's head. */
export const gptNeox: DescribedFamily = textFamily({
  name: 'gpt_neox',
  title: 'Pythia and GPT-NeoX',
  paper:
    'Black et al., "GPT-NeoX-20B: An Open-Source Autoregressive Language Model" (2022), arXiv:2204.06745; Biderman et al., "Pythia" (2023), arXiv:2304.01373',
  modelTypes: ['gpt_neox'],
  signatures: [[`${neoxLayer}.attention.query_key_value`, `${neoxLayer}.mlp.dense_h_to_4h`]],
  names: {
    'attention.query-key-value': [`${neoxLayer}.attention.query_key_value`],
    'attention.output': [`${neoxLayer}.attention.dense`],
    'mlp.up': [`${neoxLayer}.mlp.dense_h_to_4h`],
    'mlp.down': [`${neoxLayer}.mlp.dense_4h_to_h`],
    'embedding.token': ['embed_in'],
    'embedding.output': [{ 4: '^embed_out', 5: '^lm_head' }],
  },
  preprocessors: ['GPTNeoXTokenizer'],
});

/** OPT under transformers' names, 4 and 5 alike. */
export const opt: DescribedFamily = textFamily({
  name: 'opt',
  title: 'OPT',
  paper: 'Zhang et al., "OPT: Open Pre-trained Transformer Language Models" (2022), arXiv:2205.01068',
  modelTypes: ['opt'],
  signatures: [[`^model.decoder.${neoxLayer}.fc1`, '!encoder', `!${neoxLayer}.encoder_attn`]],
  names: {
    'attention.query': [`${neoxLayer}.self_attn.q_proj`],
    'attention.key': [`${neoxLayer}.self_attn.k_proj`],
    'attention.value': [`${neoxLayer}.self_attn.v_proj`],
    'attention.output': [`${neoxLayer}.self_attn.out_proj`],
    'mlp.up': [`${neoxLayer}.fc1`],
    'mlp.down': [`${neoxLayer}.fc2`],
    'embedding.token': ['embed_tokens'],
    'embedding.position': ['embed_positions'],
    'embedding.projection': ['decoder.project_in', 'decoder.project_out'],
    'embedding.output': ['^lm_head'],
  },
  preprocessors: ['GPT2Tokenizer'],
});

/** BLOOM and Falcon under transformers' names, 4 and 5 alike: a joint projection, positions as a bias or rotary. */
export const bloom: DescribedFamily = textFamily({
  name: 'bloom',
  title: 'BLOOM and Falcon',
  paper:
    'BigScience Workshop, "BLOOM: A 176B-Parameter Open-Access Multilingual Language Model" (2022), arXiv:2211.05100; Almazrouei et al., "The Falcon Series of Open Language Models" (2023), arXiv:2311.16867',
  modelTypes: ['bloom', 'falcon'],
  signatures: [[`${block}.self_attention.query_key_value`]],
  names: {
    'attention.query-key-value': [`${block}.self_attention.query_key_value`],
    'attention.output': [`${block}.self_attention.dense`],
    'mlp.up': [`${block}.mlp.dense_h_to_4h`],
    'mlp.down': [`${block}.mlp.dense_4h_to_h`],
    'embedding.token': ['word_embeddings'],
    'embedding.output': ['^lm_head'],
  },
  preprocessors: ['BloomTokenizer', 'PreTrainedTokenizerFast'],
});
