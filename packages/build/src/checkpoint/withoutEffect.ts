/** @file Config fields without effect on a graph: training, generation, bookkeeping. */

import { isObject } from '@onnx-lora/sdk/data';

/** Fields that transformers and its tools write into any config. */
const bookkeeping = new Set([
  'architectures', 'model_type', 'torch_dtype', 'dtype', 'transformers_version', '_name_or_path', 'name_or_path', '_commit_hash',
  'transformers.js_config', '_attn_implementation', '_attn_implementation_autoset', 'attn_implementation', 'finetuning_task',
  'task_specific_params', 'tokenizer_class', 'processor_class', 'prefix', 'label2id', 'id2label', 'num_labels', 'problem_type',
  'custom_pipelines', 'use_cache', 'return_dict', 'return_dict_in_generate', 'output_attentions', 'output_hidden_states',
  'output_scores', 'output_past', 'torchscript', 'use_bfloat16', 'chunk_size_feed_forward', 'gradient_checkpointing',
  'pretraining_tp', 'is_encoder_decoder', 'max_length', 'min_length', 'do_sample', 'early_stopping', 'num_beams',
  'num_beam_groups', 'diversity_penalty', 'temperature', 'top_k', 'top_p', 'typical_p', 'repetition_penalty', 'length_penalty',
  'no_repeat_ngram_size', 'encoder_no_repeat_ngram_size', 'bad_words_ids', 'num_return_sequences', 'forced_bos_token_id',
  'forced_eos_token_id', 'forced_decoder_ids', 'remove_invalid_values', 'exponential_decay_length_penalty', 'suppress_tokens',
  'begin_suppress_tokens', 'bos_token_id', 'eos_token_id', 'eos_token_ids', 'pad_token_id', 'sep_token_id', 'cls_token_id', 'mask_token_id',
  'unk_token_id', 'decoder_start_token_id', 'tf_legacy_loss', 'tie_encoder_decoder', 'model_max_length', 'license', 'language',
  'sentence_transformers', 'semantic_loss_ignore_index', 'auto_map', 'cache_implementation', 'directionality', 'is_llama_config', 'tie_weights_',
  'sliding_window_size', 'loss_type', 'tie_word_embeddings', 'ignore_index', 'classifier_activation',
]); // prettier-ignore

/** Training-only fields: dropout, init, input masking, losses. */
const training =
  /(?:^|_)(?:dropout|drop|layerdrop|pdrop)(?:_|$)|drop_path|initializer|^init_std$|^pooler_(?:fc_size|num_attention_heads|num_fc_layers|size_per_head|type)$|^(?:no_)?mask_(?:time|feature|channel)_|^freeze_feat|^replace_prob$|^apply_spec_augment$|^ctc_|_loss_weight$/;

/** Whether a field that is neither null nor false may stay unread. */
export function hasNoEffect(name: string, value: unknown): boolean {
  return bookkeeping.has(name) || training.test(name) || (name === 'pruned_heads' && isEmpty(value));
}

function isEmpty(value: unknown): boolean {
  return isObject(value) && Object.keys(value).length === 0;
}
