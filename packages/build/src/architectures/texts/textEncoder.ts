/** @file Shared classes of text encoders, given their states and two heads. */

import type { Value } from '@onnx-lora/sdk/tasks';
import { type Architecture, type Graphs, modelClass } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { answerOutputs, firstTokenHead, type LastLayer, maskedLanguageHead } from '../../layers/heads.ts';
import { type Module, widthOf } from '../../layers/module.ts';
import { stateOutputs, type TextInputs } from '../../layers/texts/texts.ts';

interface EncoderSizes {
  readonly vocabulary: number;
  readonly hidden: number;
  /** Width of the embeddings, if not that of the states. */
  readonly embedding?: number;
}

export interface Encoded {
  /** `[batch, sequence, hidden]`. */
  readonly x: Value;
  readonly inputs: TextInputs;
}

interface TextEncoder<S extends EncoderSizes> {
  readonly modelType: string;
  readonly name: string;
  /** The encoder's path in a model with a head: `bert`. */
  readonly prefix: string;
  readonly others: RegExp;
  readonly sizes: (c: Config) => S;
  /** Declares the inputs and computes the states. */
  readonly states: (m: Module, s: S) => Encoded;
  /** Scores of tokens, `[batch, sequence, vocabulary]`. */
  readonly masked: (c: Config) => (m: Module, x: Value, s: S, last: LastLayer) => Value;
  /** Scores of classes, `[batch, labels]`. */
  readonly sequence: (c: Config) => (m: Module, x: Value, s: S, labels: number) => Value;
  /** Layer of the pooler over the first token; absent without one. */
  readonly pooler?: string;
  /** Whether there is a question-answering head; true by default. */
  readonly hasAnswers?: boolean;
}

/** BERT's pooler: dense and tanh on the first token, `[batch, hidden]`. */
export function pooled(m: Module, name: string, x: Value): Value {
  return m.g.Tanh(m.linear(name, m.row(x, 0), widthOf(x)));
}

/** RoBERTa's heads. */
export const robertaHeads: Pick<
  TextEncoder<EncoderSizes & { readonly eps: number }>,
  'masked' | 'sequence' | 'pooler'
> = {
  masked:
    () =>
    (m, x, { eps }, last) =>
      maskedLanguageHead(m.at('lm_head'), x, { eps, ...last }),
  sequence: () => (m, x, _, labels) => firstTokenHead(m.at('classifier'), x, labels),
  pooler: 'pooler.dense',
};

/** A class with a head on the states; `head` reads the config and declares the outputs. */
export function headOnStates<S>(
  { prefix, sizes, states }: Pick<TextEncoder<S & EncoderSizes>, 'prefix' | 'sizes' | 'states'>,
  head: (c: Config) => (m: Module, x: Value, s: S) => void,
): (c: Config) => Graphs {
  return (c) => {
    const [emit, s] = [head(c), sizes(c)];
    return { model: (m) => emit(m, states(m.at(prefix), s).x, s) };
  };
}

/** The bare encoder, and heads for masked tokens, sequences, tokens and answers. */
export function textEncoder<S extends EncoderSizes>(encoder: TextEncoder<S>): Architecture {
  const { modelType, name, prefix, others, sizes, states, masked, sequence, pooler, hasAnswers = true } = encoder;
  return {
    modelType,
    prefix,
    others,
    classes: {
      [`${name}Model`]: modelClass(
        (c, { pooling }) => ({ s: sizes(c), pooling }),
        (m, { s, pooling }) => {
          const { x, inputs } = states(m, s);
          stateOutputs(m, x, inputs.mask, pooling);
          // Models trained without a pooler lack its weights.
          if (pooler !== undefined && m.has(`${pooler}.weight`)) m.graph.output('pooler_output', pooled(m, pooler, x));
        },
      ),
      [`${name}ForMaskedLM`]: headOnStates(encoder, (c) => {
        const [isTied, head] = [c.flag('tie_word_embeddings', true), masked(c)];
        return (m, x, s) => {
          const dims = [s.vocabulary, s.embedding ?? s.hidden];
          const table = m.parameter(`${prefix}.embeddings.word_embeddings.weight`, dims);
          m.graph.output('logits', head(m, x, s, { table, isTied }));
        };
      }),
      [`${name}ForSequenceClassification`]: headOnStates(encoder, (c) => {
        const [labels, head] = [c.labels(), sequence(c)];
        return (m, x, s) => m.graph.output('logits', head(m, x, s, labels));
      }),
      [`${name}ForTokenClassification`]: headOnStates(encoder, (c) => {
        const labels = c.labels();
        return (m, x) => m.graph.output('logits', m.linear('classifier', x, labels));
      }),
      ...(hasAnswers ? { [`${name}ForQuestionAnswering`]: headOnStates(encoder, () => answerOutputs) } : {}),
    },
  };
}
