/** @file wav2vec 2.0 and its variants: Baevski et al. 2020. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Architecture, Graphs } from '../../architecture.ts';
import type { Checkpoint } from '../../checkpoint/openCheckpoint.ts';
import type { Config } from '../../checkpoint/config.ts';
import type { Module } from '../../layers/module.ts';
import { transformerSizes } from '../../layers/sizes.ts';
import { meanOfReal } from '../../layers/texts/texts.ts';
import {
  type Attention,
  plainAttention,
  type Shortening,
  type Speech,
  speech,
  type SpeechSizes,
  weightedSum,
} from '../../layers/audio/speechEncoder.ts';
import { waveformSizes } from '../../layers/audio/waveforms.ts';

/** Class names of an architecture, and its differences. */
export interface SpeechKind {
  readonly modelType: string;
  readonly name: string;
  /** Whether transformers has a class for audio frames; true by default. */
  readonly hasFrames?: boolean;
  /** Reads fields that other variants lack. */
  readonly own?: (c: Config) => Partial<SpeechSizes>;
  /** Attention shared by all layers, from the first one's module and the states. */
  readonly attention?: (c: Config) => (first: Module, x: Value) => Attention;
}

function sizes(c: Config, { own }: SpeechKind, { config, preprocessor }: Checkpoint): SpeechSizes {
  const waveforms = waveformSizes(c);
  // Pretraining's codebook, and speaker heads.
  c.skip('num_codevectors_per_group', 'num_codevector_groups', 'contrastive_logits_temperature', 'num_negatives', 'codevector_dim', 'proj_codevector_dim', 'tdnn_dim', 'tdnn_kernel', 'tdnn_dilation', 'xvector_output_dim', 'num_ctc_classes', 'num_clusters'); // prettier-ignore
  // Read by the shortening convolutions and by CTC heads only.
  c.skip('output_hidden_size', 'adapter_kernel_size', 'adapter_stride', 'num_adapter_layers', 'vocab_size');
  const shortening = (): Shortening => ({
    out: c.size('output_hidden_size', waveforms.hidden),
    kernel: c.size('adapter_kernel_size', 3),
    stride: c.size('adapter_stride', 2),
    layers: c.size('num_adapter_layers', 3),
  });
  return {
    ...waveforms,
    ...transformerSizes(c, { hidden: 768, heads: 12, inner: 3072, act: 'gelu', eps: 1e-5 }),
    isPreNorm: c.flag('do_stable_layer_norm', false),
    // Heads are trained on what their transformers version feeds them: from 5 on, the state before the norm.
    mixesNormed: !/^"(?:[5-9]|\d\d)\./.test(JSON.stringify(config['transformers_version']) ?? ''),
    hasFeatureNorm: true,
    ...(c.flag('add_adapter', false) ? { shortening: shortening() } : {}),
    // Clips may be padded without a mask; a mask of ones equals none.
    isMasked: preprocessor === undefined || preprocessor['return_attention_mask'] === true,
    ...own?.(c),
  };
}

/** An architecture of wav2vec 2.0's kind. */
export function speechArchitecture(kind: SpeechKind): Architecture {
  const { modelType, name, hasFrames = true } = kind;
  const prefix = modelType.replaceAll('-', '_');
  const plain = (): Attention => plainAttention;
  const withStates = (
    c: Config,
    checkpoint: Checkpoint,
    emit: (m: Module, speech: Speech, s: SpeechSizes) => void,
    path = prefix,
  ): Graphs => {
    const [s, attention] = [sizes(c, kind, checkpoint), kind.attention?.(c) ?? plain];
    return { model: (m) => emit(m, speech(m.at(path), s, attention), s) };
  };
  const mixed = (c: Config): ((m: Module, speech: Speech) => Value) => {
    c.only('add_adapter', false);
    const isWeighted = c.flag('use_weighted_layer_sum', false);
    return (m, { states, last }) => (isWeighted ? weightedSum(m, states) : last);
  };
  return {
    modelType,
    prefix,
    others:
      /masked_spec_embed$|^quantizer\.|^project_(?:hid|q)\.|^lm_head\.|^projector\.|^classifier\.|^layer_weights$|^(?:tdnn|objective|ctc_proj|speaker_proj|layer_norm_for_extract)\.|^label_embeddings_concat$/,
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
      ...(hasFrames
        ? {
            [`${name}ForAudioFrameClassification`]: (c, checkpoint) => {
              const [mix, labels] = [mixed(c), c.labels()];
              c.skip('classifier_proj_size');
              return withStates(c, checkpoint, (m, all) =>
                m.graph.output('logits', m.linear('classifier', mix(m, all), labels)),
              );
            },
          }
        : {}),
    },
  };
}

export const wav2vec2: Architecture = speechArchitecture({
  modelType: 'wav2vec2',
  name: 'Wav2Vec2',
  // Only pre-norm layers have adapters.
  own: (c) =>
    c.has('adapter_attn_dim') && c.flag('do_stable_layer_norm', false) ? { adapter: c.size('adapter_attn_dim') } : {},
});

/** UniSpeech: Wang et al. 2021. */
export const unispeech: Architecture = speechArchitecture({
  modelType: 'unispeech',
  name: 'UniSpeech',
  hasFrames: false,
});

/** UniSpeech-SAT: Chen et al. 2021. */
export const unispeechSat: Architecture = speechArchitecture({ modelType: 'unispeech-sat', name: 'UniSpeechSat' });

/** data2vec for speech: Baevski et al. 2022; several narrow positional convolutions. */
export const data2vecAudio: Architecture = speechArchitecture({
  modelType: 'data2vec-audio',
  name: 'Data2VecAudio',
  own: (c) => {
    c.only('feat_extract_norm', undefined, 'layer');
    c.only('do_stable_layer_norm', false);
    const [positionKernel, positionLayers] = [c.size('conv_pos_kernel_size', 19), c.size('num_conv_pos_embeddings', 5)];
    return { norm: 'layer', positionKernel, positionLayers };
  },
});

/** HuBERT: Hsu et al. 2021. */
export const hubert: Architecture = speechArchitecture({
  modelType: 'hubert',
  name: 'Hubert',
  hasFrames: false,
  own: (c) => ({
    hasFeatureNorm: c.flag('feat_proj_layer_norm', true),
    hasBatchNorm: c.flag('conv_pos_batch_norm', false),
  }),
});
