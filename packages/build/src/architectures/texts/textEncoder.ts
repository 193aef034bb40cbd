/** @file What encoders of texts have in common: their classes, which differ by the states below and by two heads. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Architecture, Graphs } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { answerOutputs } from '../../layers/heads.ts';
import { type Module, widthOf } from '../../layers/module.ts';
import { stateOutputs } from '../../layers/texts/sentences.ts';
import type { TextInputs } from '../../layers/texts/texts.ts';

/** Sizes of any encoder. */
interface EncoderSizes {
  readonly vocabulary: number;
  readonly hidden: number;
  /** Width of the embeddings, where it is not that of the states. */
  readonly embedding?: number;
}

/** Texts, and what an encoder makes of them. */
export interface Encoded {
  /** `[batch, sequence, hidden]`. */
  readonly x: Value;
  readonly inputs: TextInputs;
}

/** The last layer of a masked-language head. */
export interface LastLayer {
  /** The embedding of tokens `[vocabulary, width]`, which is the layer where that is tied to it. */
  readonly table: Value;
  readonly isTied: boolean;
}

/** An encoder of texts with its heads. */
interface TextEncoder<S extends EncoderSizes> {
  readonly modelType: string;
  /** What names of classes begin with: `Bert`. */
  readonly name: string;
  /** The encoder's path in a model with a head: `bert`. */
  readonly prefix: string;
  /** Tensors that a class may leave unread. */
  readonly others: RegExp;
  readonly sizes: (c: Config) => S;
  /** Declares the inputs, and gives the states. */
  readonly states: (m: Module, s: S) => Encoded;
  /** Scores of tokens, `[batch, sequence, vocabulary]`. */
  readonly masked: (c: Config) => (m: Module, x: Value, s: S, last: LastLayer) => Value;
  /** Scores of a text's classes, `[batch, labels]`. */
  readonly sequence: (c: Config) => (m: Module, x: Value, s: S, labels: number) => Value;
  /** The layer of the pooler, which reads the first token; absent where the encoder has none. */
  readonly pooler?: string;
  /** Whether there is a head for answers; there is by default. */
  readonly hasAnswers?: boolean;
}

/** BERT's pooler: a layer and tanh over the first token, `[batch, hidden]`. */
export function pooled(m: Module, name: string, x: Value): Value {
  return m.g.Tanh(m.linear(name, m.row(x, 0), widthOf(x)));
}

/** A class whose outputs are those of a head on the states. `head` reads the config, and declares them. */
export function onStates<S>(
  { prefix, sizes, states }: Pick<TextEncoder<S & EncoderSizes>, 'prefix' | 'sizes' | 'states'>,
  head: (c: Config) => (m: Module, x: Value, s: S) => void,
): (c: Config) => Graphs {
  return (c) => {
    const [emit, s] = [head(c), sizes(c)];
    return { model: (m) => emit(m, states(m.at(prefix), s).x, s) };
  };
}

/** The architecture: the bare encoder, and heads for masked tokens, for classes of texts and of tokens, and for answers. */
export function textEncoder<S extends EncoderSizes>(encoder: TextEncoder<S>): Architecture {
  const { modelType, name, prefix, others, sizes, states, masked, sequence, pooler, hasAnswers = true } = encoder;
  return {
    modelType,
    prefix,
    others,
    classes: {
      [`${name}Model`]: (c, { pooling }) => {
        const s = sizes(c);
        return {
          model: (m) => {
            const { x, inputs } = states(m, s);
            stateOutputs(m, x, inputs.mask, pooling);
            // Models that learned without a pooler are stored without its weights.
            if (pooler !== undefined && m.has(`${pooler}.weight`))
              m.graph.output('pooler_output', pooled(m, pooler, x));
          },
        };
      },
      [`${name}ForMaskedLM`]: onStates(encoder, (c) => {
        const [isTied, head] = [c.flag('tie_word_embeddings', true), masked(c)];
        return (m, x, s) => {
          const dims = [s.vocabulary, s.embedding ?? s.hidden];
          const table = m.parameter(`${prefix}.embeddings.word_embeddings.weight`, dims);
          m.graph.output('logits', head(m, x, s, { table, isTied }));
        };
      }),
      [`${name}ForSequenceClassification`]: onStates(encoder, (c) => {
        const [labels, head] = [c.labels(), sequence(c)];
        return (m, x, s) => m.graph.output('logits', head(m, x, s, labels));
      }),
      [`${name}ForTokenClassification`]: onStates(encoder, (c) => {
        const labels = c.labels();
        return (m, x) => m.graph.output('logits', m.linear('classifier', x, labels));
      }),
      ...(hasAnswers ? { [`${name}ForQuestionAnswering`]: onStates(encoder, () => answerOutputs) } : {}),
    },
  };
}
