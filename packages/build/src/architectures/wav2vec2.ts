/**
 * @file wav2vec 2.0: Baevski et al. 2020, "A framework for self-supervised learning of speech representations"; and what
 * HuBERT and WavLM have of it.
 *
 * An export of Optimum's has no `attention_mask`. A graph that is built here has one wherever clips of a batch are padded
 * with a mask: as `return_attention_mask` in `preprocessor_config.json` says, and where there is no such file, as the published
 * models are used: wav2vec 2.0 with a norm per channel without one, all others with. A mask of ones is the same as none.
 */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Architecture, Graphs } from '../architecture.ts';
import type { Checkpoint } from '../checkpoint/openCheckpoint.ts';
import type { Config } from '../checkpoint/config.ts';
import type { Activation } from '../layers/activations.ts';
import { selfAttention } from '../layers/attention.ts';
import { weightedSum } from '../layers/layerSum.ts';
import { paddingMask } from '../layers/masks.ts';
import type { Module } from '../layers/module.ts';
import { meanOfReal } from '../layers/sentences.ts';
import { convolved, positionsByConvolution, realFrames, type WaveformSizes, waveformSizes } from '../layers/waveforms.ts';

/** What config.json says of an encoder of wav2vec 2.0's kind. */
export interface SpeechSizes extends WaveformSizes {
  readonly vocabulary: number;
  readonly layers: number;
  readonly heads: number;
  readonly inner: number;
  readonly act: Activation;
  readonly eps: number;
  /** Whether norms are before attention and feed-forward, and one after all layers; else behind each, and one before all. */
  readonly isPreNorm: boolean;
  /** Whether features are normed before they are projected. */
  readonly hasFeatureNorm: boolean;
  /** Width of an adapter behind each layer, where there are any. */
  readonly adapter?: number;
  /** Convolutions behind all layers that shorten the sequence, where there are any. */
  readonly shortening?: { readonly out: number; readonly kernel: number; readonly stride: number; readonly layers: number };
  /** Whether `attention_mask` is an input. */
  readonly isMasked: boolean;
}

/** How an architecture's attention differs, if it does: x `[batch, frames, hidden]` → the same, projected. */
export type Attention = (m: Module, x: Value, s: SpeechSizes, mask: Value | undefined) => Value;

/** How an architecture's classes are called, and what it has of its own. */
export interface SpeechKind {
  readonly modelType: string;
  /** What names of classes begin with. */
  readonly name: string;
  /** Reads fields that others do not have. */
  readonly own?: (c: Config) => Partial<SpeechSizes>;
  /** The attention of a model, made once for all of its layers; given the first of them and the states. */
  readonly attention?: (c: Config) => (first: Module, x: Value) => Attention;
  /** Whether there is a mask where nothing says so. */
  readonly isMasked: (s: WaveformSizes) => boolean;
}

function sizes(c: Config, { own, isMasked }: SpeechKind, { preprocessor }: Checkpoint): SpeechSizes {
  const waveforms = waveformSizes(c);
  // Vectors of the first training, and of heads for speakers.
  c.skip('num_codevectors_per_group', 'num_codevector_groups', 'contrastive_logits_temperature', 'num_negatives', 'codevector_dim', 'proj_codevector_dim', 'tdnn_dim', 'tdnn_kernel', 'tdnn_dilation', 'xvector_output_dim', 'num_ctc_classes'); // prettier-ignore
  const shortening = {
    out: c.size('output_hidden_size', waveforms.hidden),
    kernel: c.size('adapter_kernel_size', 3),
    stride: c.size('adapter_stride', 2),
    layers: c.size('num_adapter_layers', 3),
  };
  return {
    ...waveforms,
    vocabulary: c.size('vocab_size', 32),
    layers: c.size('num_hidden_layers', 12),
    heads: c.size('num_attention_heads', 12),
    inner: c.size('intermediate_size', 3072),
    act: c.activation('hidden_act', 'gelu'),
    eps: c.number('layer_norm_eps', 1e-5),
    isPreNorm: c.flag('do_stable_layer_norm', false),
    hasFeatureNorm: true,
    ...(c.flag('add_adapter', false) ? { shortening } : {}),
    isMasked: preprocessor ? preprocessor['return_attention_mask'] === true : isMasked(waveforms),
    ...own?.(c),
  };
}

const plainAttention: Attention = (m, x, s, mask) => {
  const context = selfAttention(m, x, { names: ['q_proj', 'k_proj', 'v_proj'], heads: s.heads, mask });
  return m.linear('out_proj', context, s.hidden);
};

function layer(m: Module, x: Value, s: SpeechSizes, attended: (m: Module, x: Value) => Value): Value {
  const norm = (name: string, value: Value): Value => m.layerNorm(name, value, s.eps);
  const attention = (value: Value): Value => attended(m.at('attention'), value);
  if (!s.isPreNorm) {
    const y = norm('layer_norm', m.g.Add(x, attention(x)));
    return norm('final_layer_norm', m.g.Add(y, feedForward(m.at('feed_forward'), y, s)));
  }
  x = m.g.Add(x, attention(norm('layer_norm', x)));
  x = m.g.Add(x, feedForward(m.at('feed_forward'), norm('final_layer_norm', x), s));
  return s.adapter === undefined ? x : m.g.Add(x, adapter(m.at('adapter_layer'), x, s.adapter));
}

function feedForward(m: Module, x: Value, { act, inner, hidden }: SpeechSizes): Value {
  return m.linear('output_dense', act(m.g, m.linear('intermediate_dense', x, inner)), hidden);
}

/** Pratap et al. 2023, "Scaling speech technology to 1,000+ languages": what is of one language alone. */
function adapter(m: Module, x: Value, width: number): Value {
  const narrow = m.g.Relu(m.linear('linear_1', m.layerNorm('norm', x, 1e-5), width));
  return m.linear('linear_2', narrow, Number(x.shape!.at(-1)));
}

/** x `[batch, frames, hidden]` by gated convolutions, each of which leaves out frames: `[batch, fewer frames, out]`. */
function shortened(m: Module, x: Value, { out, kernel, stride, layers }: NonNullable<SpeechSizes['shortening']>): Value {
  const { g } = m;
  const isNarrowed = out !== Number(x.shape!.at(-1));
  const narrow = isNarrowed ? m.layerNorm('proj_layer_norm', m.linear('proj', x, out), 1e-5) : x;
  let y = g.Transpose(narrow, [0, 2, 1]);
  for (const each of m.list('layers', layers)) {
    const wide = each.conv('conv', y, { out: 2 * out, kernel: [kernel], strides: [stride], pads: [1] });
    const [value, gate] = g.Split(wide, [out, out], 1) as [Value, Value];
    y = g.Mul(value, g.Sigmoid(gate));
  }
  return g.Transpose(y, [0, 2, 1]);
}

/** What comes of a waveform. */
interface Speech {
  /** What each layer reads, and what comes of the last, all `[batch, frames, hidden]`. */
  readonly states: readonly Value[];
  /** The last of them, shortened where the model does that. */
  readonly last: Value;
  /** Which frames are no padding, int64 `[batch, frames]`. */
  readonly real: Value | undefined;
}

function speech(m: Module, s: SpeechSizes, attention: (first: Module, x: Value) => Attention): Speech {
  const { g } = m;
  const clip = ['batch_size', 'sequence_length'] as const;
  const samples = m.graph.input('input_values', 'float32', clip);
  const features = convolved(m.at('feature_extractor'), samples, s);
  const real = s.isMasked ? realFrames(m, m.graph.input('attention_mask', 'int64', clip), features, s) : undefined;
  const projection = m.at('feature_projection');
  const normed = s.hasFeatureNorm ? projection.layerNorm('layer_norm', features, s.eps) : features;
  let x = projection.linear('projection', normed, s.hidden);
  if (real) x = g.Mul(x, m.floats(g.Unsqueeze(real, [2])));
  const encoder = m.at('encoder');
  x = g.Add(x, positionsByConvolution(encoder.at('pos_conv_embed'), x, s));
  const norm = (value: Value): Value => encoder.layerNorm('layer_norm', value, s.eps);
  if (!s.isPreNorm) x = norm(x);
  const mask = real && paddingMask(m, real);
  const attend = attention(encoder.at('layers.0.attention'), x);
  const states: Value[] = [];
  for (const each of encoder.list('layers', s.layers)) {
    states.push(x);
    x = layer(each, x, s, (inner, value) => attend(inner, value, s, mask));
  }
  // As transformers 4 gave it to heads that mix the states; 5 leaves the last norm out.
  if (s.isPreNorm) x = norm(x);
  return { states: [...states, x], last: s.shortening ? shortened(m.at('adapter'), x, s.shortening) : x, real };
}

/** An architecture of wav2vec 2.0's kind. */
export function speechArchitecture(kind: SpeechKind): Architecture {
  const { modelType, name } = kind;
  const plain = (): Attention => plainAttention;
  const withStates = (c: Config, checkpoint: Checkpoint, emit: (m: Module, speech: Speech, s: SpeechSizes) => void, path = modelType): Graphs => {
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
    others: /masked_spec_embed$|^quantizer\.|^project_(?:hid|q)\.|^lm_head\.|^projector\.|^classifier\.|^layer_weights$|^(?:tdnn|objective)\./,
    classes: {
      [`${name}Model`]: (c, checkpoint) => {
        c.skip('use_weighted_layer_sum', 'classifier_proj_size');
        return withStates(c, checkpoint, (m, { last }) => m.graph.output('last_hidden_state', last), '');
      },
      [`${name}ForCTC`]: (c, checkpoint) => {
        c.skip('use_weighted_layer_sum', 'classifier_proj_size');
        return withStates(c, checkpoint, (m, { last }, s) => m.graph.output('logits', m.linear('lm_head', last, s.vocabulary)));
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
        return withStates(c, checkpoint, (m, all) => m.graph.output('logits', m.linear('classifier', mix(m, all), labels)));
      },
    },
  };
}

export const wav2vec2 = speechArchitecture({
  modelType: 'wav2vec2',
  name: 'Wav2Vec2',
  // Only layers with norms before them have adapters.
  own: (c) => (c.has('adapter_attn_dim') && c.flag('do_stable_layer_norm', false) ? { adapter: c.size('adapter_attn_dim') } : {}),
  isMasked: ({ norm }) => norm === 'layer',
});
