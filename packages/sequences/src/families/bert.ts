/** @file BERT and related encoders of texts, proteins, DNA and molecules, by the names in transformers 4 and 5. */

import type { DescribedFamily, RoleNames } from '@onnx-lora/sdk/plugin';
import { encoderFamily } from './encoderFamily.ts';

const layer = 'encoder.layer.{n}';

/** Feed-forward modules and the attention's output. */
const feedForward: RoleNames = {
  'attention.output': [`${layer}.attention.output.dense`],
  'mlp.up': [`${layer}.intermediate.dense`],
  'mlp.down': [`${layer}.output.dense`],
};

const embeddingModules: RoleNames = {
  'embedding.token': ['embeddings.word_embeddings'],
  'embedding.position': ['embeddings.position_embeddings'],
  'embedding.type': ['embeddings.token_type_embeddings'],
};

/** Modules of the encoder and its embeddings. */
export const encoderModules: RoleNames = {
  'attention.query': [`${layer}.attention.self.query`],
  'attention.key': [`${layer}.attention.self.key`],
  'attention.value': [`${layer}.attention.self.value`],
  ...feedForward,
  ...embeddingModules,
};

const debertaModules: RoleNames = {
  'attention.query': [`${layer}.attention.self.query_proj`],
  'attention.key': [`${layer}.attention.self.key_proj`],
  'attention.value': [`${layer}.attention.self.value_proj`],
  'attention.query-key-value': [`${layer}.attention.self.in_proj`],
  'attention.position': [/(?:.*\.)?encoder\.layer\.\d+\.attention\.self\.pos_\w*proj/, 'encoder.rel_embeddings'],
  ...feedForward,
  ...embeddingModules,
};

/** Modules of transformers' sequence and token classifiers. */
export const classifierNames: readonly string[] = ['^classifier', '^classifier.dense', '^classifier.out_proj'];

/** BERT, and MosaicBERT (DNABERT-2). A single .onnx file needs the prefix `bert.`: without it the names are ESM's. */
export const bert: DescribedFamily = encoderFamily({
  name: 'bert',
  title: 'BERT, MiniLM, ProtBERT and DNABERT',
  paper:
    'Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding" (2018), arXiv:1810.04805; Elnaggar et al., "ProtTrans" (2022), doi:10.1109/TPAMI.2021.3095381; Ji et al., "DNABERT" (2021), doi:10.1093/bioinformatics/btab083; Zhou et al., "DNABERT-2" (2023), arXiv:2306.15006',
  modelTypes: ['bert', 'ernie'],
  signatures: [[`^bert.${layer}.attention.self.query`], [`^bert.${layer}.attention.self.Wqkv`]],
  names: {
    ...encoderModules,
    'attention.query-key-value': [`${layer}.attention.self.Wqkv`],
    'mlp.up': [...encoderModules['mlp.up']!, `${layer}.mlp.gated_layers`],
    'mlp.down': [...encoderModules['mlp.down']!, `${layer}.mlp.wo`],
    pooler: ['pooler.dense'],
    'embedding.output': ['^cls.predictions.decoder'],
    head: ['^cls.predictions.transform.dense', '^cls.seq_relationship', '^qa_outputs', '^classifier'],
  },
  preprocessors: ['BertTokenizer', 'DNATokenizer', 'PreTrainedTokenizerFast'],
});

/** RoBERTa, XLM-R, ChemBERTa and AbLang's port. A single .onnx file needs the prefix `roberta.` to be recognised. */
export const roberta: DescribedFamily = encoderFamily({
  name: 'roberta',
  title: 'RoBERTa, XLM-R and ChemBERTa',
  paper:
    'Liu et al., "RoBERTa: A Robustly Optimized BERT Pretraining Approach" (2019), arXiv:1907.11692; Conneau et al., "Unsupervised Cross-lingual Representation Learning at Scale" (2019), arXiv:1911.02116; Chithrananda et al., "ChemBERTa" (2020), arXiv:2010.09885; Olsen et al., "AbLang" (2022), doi:10.1093/bioadv/vbac046',
  modelTypes: ['roberta', 'xlm-roberta', 'camembert', 'data2vec-text'],
  signatures: [['^roberta.encoder.layer.{n}.attention.self.query']],
  names: {
    ...encoderModules,
    pooler: ['pooler.dense'],
    'embedding.output': ['^lm_head', '^lm_head.decoder'],
    head: ['^lm_head.dense', '^qa_outputs', ...classifierNames],
  },
  targetsFrom:
    'queries and values: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021), arXiv:2106.09685, section 5.2, which adapts RoBERTa',
  preprocessors: ['RobertaTokenizer', 'XLMRobertaTokenizer', 'CamembertTokenizer'],
});

/** ELECTRA, and ProtElectra. */
export const electra: DescribedFamily = encoderFamily({
  name: 'electra',
  title: 'ELECTRA',
  paper:
    'Clark et al., "ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators" (2020), arXiv:2003.10555',
  modelTypes: ['electra'],
  signatures: [['^electra.encoder.layer.{n}.attention.self.query']],
  names: {
    ...encoderModules,
    'embedding.projection': ['embeddings_project'],
    'embedding.output': ['^generator_lm_head'],
    head: [
      '^generator_predictions.dense',
      '^discriminator_predictions.dense',
      '^discriminator_predictions.dense_prediction',
      ...classifierNames,
    ],
  },
  preprocessors: ['ElectraTokenizer'],
});

/** DeBERTa. Version 1 has a joint projection; its position projections read a constant and cannot be found. */
export const deberta: DescribedFamily = encoderFamily({
  name: 'deberta-v2',
  title: 'DeBERTa',
  paper: 'He et al., "DeBERTa: Decoding-enhanced BERT with Disentangled Attention" (2020), arXiv:2006.03654',
  modelTypes: ['deberta-v2', 'deberta'],
  signatures: [['^deberta.encoder.layer.{n}.attention.self']],
  names: {
    ...debertaModules,
    pooler: ['^pooler.dense'],
    'embedding.output': ['^cls.predictions.decoder'],
    head: ['^cls.predictions.transform.dense', ...classifierNames],
  },
  targetsFrom:
    'queries and values: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021), arXiv:2106.09685, section 5.3, which adapts DeBERTa XXL',
  preprocessors: ['DebertaV2Tokenizer', 'DebertaTokenizer'],
});

/** MPNet: all layers share one table of relative positions. */
export const mpnet: DescribedFamily = encoderFamily({
  name: 'mpnet',
  title: 'MPNet',
  paper: 'Song et al., "MPNet: Masked and Permuted Pre-training for Language Understanding" (2020), arXiv:2004.09297',
  modelTypes: ['mpnet'],
  signatures: [[`${layer}.attention.attn.q`]],
  names: {
    'attention.query': [`${layer}.attention.attn.q`],
    'attention.key': [`${layer}.attention.attn.k`],
    'attention.value': [`${layer}.attention.attn.v`],
    'attention.output': [`${layer}.attention.attn.o`],
    'attention.position': ['encoder.relative_attention_bias'],
    'mlp.up': feedForward['mlp.up']!,
    'mlp.down': feedForward['mlp.down']!,
    'embedding.token': embeddingModules['embedding.token']!,
    'embedding.position': embeddingModules['embedding.position']!,
    pooler: ['pooler.dense'],
    'embedding.output': ['^lm_head.decoder'],
    head: ['^lm_head.dense', '^qa_outputs', ...classifierNames],
  },
  preprocessors: ['MPNetTokenizer'],
});

const distillayer = 'transformer.layer.{n}';

/** DistilBERT. */
export const distilbert: DescribedFamily = encoderFamily({
  name: 'distilbert',
  title: 'DistilBERT',
  paper:
    'Sanh et al., "DistilBERT, a distilled version of BERT: smaller, faster, cheaper and lighter" (2019), arXiv:1910.01108',
  modelTypes: ['distilbert'],
  signatures: [[`${distillayer}.attention.q_lin`]],
  names: {
    'attention.query': [`${distillayer}.attention.q_lin`],
    'attention.key': [`${distillayer}.attention.k_lin`],
    'attention.value': [`${distillayer}.attention.v_lin`],
    'attention.output': [`${distillayer}.attention.out_lin`],
    'mlp.up': [`${distillayer}.ffn.lin1`],
    'mlp.down': [`${distillayer}.ffn.lin2`],
    ...embeddingModules,
    'embedding.output': ['^vocab_projector'],
    head: ['^vocab_transform', '^pre_classifier', '^classifier'],
  },
  preprocessors: ['DistilBertTokenizer'],
});

const allayer = 'albert_layer_groups.{n}.albert_layers.{n}';

/** ALBERT, and ProtAlbert: all layers share their weights, and so one adapter. */
export const albert: DescribedFamily = encoderFamily({
  name: 'albert',
  title: 'ALBERT',
  paper:
    'Lan et al., "ALBERT: A Lite BERT for Self-supervised Learning of Language Representations" (2019), arXiv:1909.11942',
  modelTypes: ['albert'],
  signatures: [[`${allayer}.attention.query`]],
  names: {
    'attention.query': [`${allayer}.attention.query`],
    'attention.key': [`${allayer}.attention.key`],
    'attention.value': [`${allayer}.attention.value`],
    'attention.output': [`${allayer}.attention.dense`],
    'mlp.up': [`${allayer}.ffn`],
    'mlp.down': [`${allayer}.ffn_output`],
    ...embeddingModules,
    'embedding.projection': ['encoder.embedding_hidden_mapping_in'],
    pooler: ['^albert.pooler', '^pooler'],
    'embedding.output': ['^predictions.decoder'],
    head: ['^predictions.dense', '^classifier'],
  },
  preprocessors: ['AlbertTokenizer'],
});

const modernlayer = 'layers.{n}';

/** ModernBERT: joint projection, gated feed-forward layer, local attention. */
export const modernbert: DescribedFamily = encoderFamily({
  name: 'modernbert',
  title: 'ModernBERT',
  paper:
    'Warner et al., "Smarter, Better, Faster, Longer: A Modern Bidirectional Encoder for Fast, Memory Efficient, and Long Context Finetuning and Inference" (2024), arXiv:2412.13663',
  modelTypes: ['modernbert'],
  signatures: [[`${modernlayer}.attn.Wqkv`, `${modernlayer}.mlp.Wi`]],
  names: {
    'attention.query-key-value': [`${modernlayer}.attn.Wqkv`],
    'attention.output': [`${modernlayer}.attn.Wo`],
    'mlp.up': [`${modernlayer}.mlp.Wi`],
    'mlp.down': [`${modernlayer}.mlp.Wo`],
    'embedding.token': ['embeddings.tok_embeddings'],
    'embedding.output': ['^decoder'],
    head: ['^head.dense', '^classifier'],
  },
  preprocessors: ['PreTrainedTokenizerFast'],
});
