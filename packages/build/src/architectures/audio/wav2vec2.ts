/**
 * @file wav2vec 2.0: Baevski et al. 2020, "A framework for self-supervised learning of speech representations"; and what
 * HuBERT and WavLM have of it.
 *
 * The model takes an `attention_mask`, which is 0 where a clip is padding. The graph has this input unless
 * `preprocessor_config.json` says that clips are padded without a mask. A mask of ones gives the same as no mask.
 */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Architecture, Graphs } from '../../architecture.ts';
import type { Checkpoint } from '../../checkpoint/openCheckpoint.ts';
import type { Config } from '../../checkpoint/config.ts';
import { weightedSum } from '../../layers/audio/layerSum.ts';
import type { Module } from '../../layers/module.ts';
import { meanOfReal } from '../../layers/texts/sentences.ts';
import {
  type Attention,
  plainAttention,
  type Shortening,
  type Speech,
  speech,
  type SpeechSizes,
} from '../../layers/audio/speechEncoder.ts';
import { waveformSizes } from '../../layers/audio/waveforms.ts';

/** How an architecture's classes are called, and what it has of its own. */
export interface SpeechKind {
  readonly modelType: string;
  /** What names of classes begin with. */
  readonly name: string;
  /** Reads fields that others do not have. */
  readonly own?: (c: Config) => Partial<SpeechSizes>;
  /** The attention of a model, made once for all of its layers; given the first of them and the states. */
  readonly attention?: (c: Config) => (first: Module, x: Value) => Attention;
}

function sizes(c: Config, { own }: SpeechKind, { preprocessor }: Checkpoint): SpeechSizes {
  const waveforms = waveformSizes(c);
  // Vectors of the first training, and of heads for speakers.
  c.skip('num_codevectors_per_group', 'num_codevector_groups', 'contrastive_logits_temperature', 'num_negatives', 'codevector_dim', 'proj_codevector_dim', 'tdnn_dim', 'tdnn_kernel', 'tdnn_dilation', 'xvector_output_dim', 'num_ctc_classes'); // prettier-ignore
  // Of use where convolutions shorten the sequence, and where characters are told apart.
  c.skip('output_hidden_size', 'adapter_kernel_size', 'adapter_stride', 'num_adapter_layers', 'vocab_size');
  const shortening = (): Shortening => ({
    out: c.size('output_hidden_size', waveforms.hidden),
    kernel: c.size('adapter_kernel_size', 3),
    stride: c.size('adapter_stride', 2),
    layers: c.size('num_adapter_layers', 3),
  });
  return {
    ...waveforms,
    layers: c.size('num_hidden_layers', 12),
    heads: c.size('num_attention_heads', 12),
    inner: c.size('intermediate_size', 3072),
    act: c.activation('hidden_act', 'gelu'),
    eps: c.number('layer_norm_eps', 1e-5),
    isPreNorm: c.flag('do_stable_layer_norm', false),
    hasFeatureNorm: true,
    ...(c.flag('add_adapter', false) ? { shortening: shortening() } : {}),
    isMasked: preprocessor === undefined || preprocessor['return_attention_mask'] === true,
    ...own?.(c),
  };
}

/** An architecture of wav2vec 2.0's kind. */
export function speechArchitecture(kind: SpeechKind): Architecture {
  const { modelType, name } = kind;
  const plain = (): Attention => plainAttention;
  const withStates = (
    c: Config,
    checkpoint: Checkpoint,
    emit: (m: Module, speech: Speech, s: SpeechSizes) => void,
    path = modelType,
  ): Graphs => {
    const [s, attention] = [sizes(c, kind, checkpoint), kind.attention?.(c) ?? plain];
    return { model: (m) => emit(m, speech(m.at(path), s, attention), s) };
  };
  const mixed = (c: Config): ((m: Module, speech: Speech) => Value) => {
    c.only('add_adapter', false);
    const isWeighted = c.flag('use_weighted_layer_sum', false);
    return (m, { states }) => (isWeighted ? weightedSum(m, states) : states.at(-1)!);
  };
  return {
    modelType,
    prefix: modelType,
    others:
      /masked_spec_embed$|^quantizer\.|^project_(?:hid|q)\.|^lm_head\.|^projector\.|^classifier\.|^layer_weights$|^(?:tdnn|objective)\./,
    classes: {
      [`${name}Model`]: (c, checkpoint) => {
        c.skip('use_weighted_layer_sum', 'classifier_proj_size');
        return withStates(c, checkpoint, (m, { last }) => m.graph.output('last_hidden_state', last), '');
      },
      [`${name}ForCTC`]: (c, checkpoint) => {
        c.skip('use_weighted_layer_sum', 'classifier_proj_size');
        const vocabulary = c.size('vocab_size', 32);
        return withStates(c, checkpoint, (m, { last }) =>
          m.graph.output('logits', m.linear('lm_head', last, vocabulary)),
        );
      },
      [`${name}ForSequenceClassification`]: (c, checkpoint) => {
        const [mix, labels, width] = [mixed(c), c.labels(), c.size('classifier_proj_size', 256)];
        return withStates(c, checkpoint, (m, all) => {
          const x = m.linear('projector', mix(m, all), width);
          const pooled = all.real ? meanOfReal(m, x, all.real) : m.g.ReduceMean(x, [1], false);
          m.graph.output('logits', m.linear('classifier', pooled, labels));
        });
      },
      [`${name}ForAudioFrameClassification`]: (c, checkpoint) => {
        const [mix, labels] = [mixed(c), c.labels()];
        c.skip('classifier_proj_size');
        return withStates(c, checkpoint, (m, all) =>
          m.graph.output('logits', m.linear('classifier', mix(m, all), labels)),
        );
      },
    },
  };
}

export const wav2vec2: Architecture = speechArchitecture({
  modelType: 'wav2vec2',
  name: 'Wav2Vec2',
  // Only layers with norms before them have adapters.
  own: (c) =>
    c.has('adapter_attn_dim') && c.flag('do_stable_layer_norm', false) ? { adapter: c.size('adapter_attn_dim') } : {},
});
