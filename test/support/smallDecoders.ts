/**
 * @file Small decoders of language in two forms with the same weights: as onnxruntime-genai's builder writes them, in ONNX
 * Runtime's own operators, and as torch exports them, in standard ones.
 */

import { float32, int64 } from '@onnx-lora/sdk';
import { inferNode, type ModelProto, tensorProto } from '@onnx-lora/sdk/plugin';
import { type Value, GraphBuilder } from '@onnx-lora/sdk/tasks';
import { modelOf, port } from '../../packages/testing/src/graphs.ts';
import { type DecoderForm, sizes, Weights } from './decoderWeights.ts';

type Graphed = ModelProto & { readonly graph: NonNullable<ModelProto['graph']> };

const { layers, hidden, heads, width, vocabulary, positions } = sizes;
const epsilon = 1e-5;
const contrib = 'com.microsoft';

/** Both decoders; the plain one begins without a past and yields none. */
export function smallDecoders(form: DecoderForm): { readonly builder: Graphed; readonly plain: Graphed } {
  const groups = form.attention === 'grouped' ? 2 : heads;
  const weights = new Weights(groups, form);
  return {
    builder: new BuilderDecoder(weights, form, groups).model(),
    plain: new PlainDecoder(weights, groups).model(),
  };
}

/** Scopes of a module in the names of nodes. */
const scopeOf = (path: string): string => `/${path.replaceAll('.', '/').replace(/layers\/(\d)/, 'layers.$1')}`;

/** The common part of both forms: the order of the modules. */
abstract class Decoder {
  protected readonly g: GraphBuilder = new GraphBuilder({ opset: 18, infer: inferNode, prefix: 'v/' });
  protected readonly initializers: NonNullable<Graphed['graph']['initializer']> = [];
  protected readonly weights: Weights;
  protected readonly groups: number;

  constructor(weights: Weights, groups: number) {
    this.weights = weights;
    this.groups = groups;
  }

  protected input(name: string, ...shape: (string | number)[]): Value {
    return { name, type: name.startsWith('past') ? 'float32' : 'int64', shape };
  }

  protected floats(name: string, values: Float32Array, dims: readonly number[]): Value {
    this.initializers.push(tensorProto(name, float32(values, dims)));
    return { name, type: 'float32', shape: dims };
  }

  /** Gives the node emitted last a name. */
  protected named<T>(result: T, node: string): T {
    this.g.nodes.at(-1)!.name = node;
    return result;
  }

  protected embedded(ids: Value): Value {
    const table = this.floats('model.embed_tokens.weight', this.weights.embedding, [vocabulary, hidden]);
    return this.named(this.g.Gather(table, ids, 0), '/model/embed_tokens/Gather');
  }

  protected gated(x: Value, linear: (name: string, x: Value) => Value): Value {
    const gate = linear('mlp.gate_proj', x);
    return linear('mlp.down_proj', this.g.Mul(this.g.Mul(gate, this.g.Sigmoid(gate)), linear('mlp.up_proj', x)));
  }

  /** Where a query does not see a key, as a number to add `[batch, 1, sequence, sequence]`. */
  protected mask(mask: Value, ids: Value): Value {
    const { g } = this;
    const range = g.emit('Range', [g.scalar(0, 'int64'), g.Gather(g.Shape(ids), g.scalar(1, 'int64'), 0), g.scalar(1, 'int64')]); // prettier-ignore
    const isBefore = g.LessOrEqual(g.Unsqueeze(range, [0]), g.Unsqueeze(range, [1]));
    const isSeen = g.And(isBefore, g.Unsqueeze(g.Cast(mask, 9), [1, 2]));
    return g.Where(isSeen, 0, -1e9);
  }

  protected modelOf(inputs: readonly Value[], outputs: readonly Value[]): Graphed {
    const { nodes, initializers, opset } = this.g;
    const names = outputs.map(({ name }) => name);
    const all = [...this.initializers, ...initializers];
    const model = modelOf({ opset, inputs, outputs: names, nodes, initializers: all });
    return { ...model, graph: { ...model.graph, output: outputs.map(port) } };
  }
}

/** As torch exports it. */
class PlainDecoder extends Decoder {
  model(): Graphed {
    const { g } = this;
    const inputs = ['input_ids', 'attention_mask', 'position_ids'].map((name) => this.input(name, 'batch', 'sequence'));
    const [ids, mask, places] = inputs as [Value, Value, Value];
    const unseen = this.mask(mask, ids);
    const tables = this.weights.tables.map((values) => {
      const table = g.constant(float32(values, [positions, width / 2]));
      return g.Unsqueeze(g.Gather(table, places, 0), [1]);
    }) as [Value, Value];
    let x = this.embedded(ids);
    for (let i = 0; i < layers; i++) {
      const at = `model.layers.${i}`;
      x = g.Add(x, this.#attention(`${at}.self_attn`, this.#norm(`${at}.input_layernorm`, x), tables, unseen));
      const gated = this.gated(this.#norm(`${at}.post_attention_layernorm`, x), (name, y) => this.#linear(`${at}.${name}`, y)); // prettier-ignore
      x = g.Add(x, gated);
    }
    const logits = this.#linear('lm_head', this.#norm('model.norm', x));
    g.nodes.push({ opType: 'Identity', input: [logits.name], output: ['logits'] });
    return this.modelOf(inputs, [{ name: 'logits', type: 'float32', shape: ['batch', 'sequence', vocabulary] }]);
  }

  #linear(path: string, x: Value): Value {
    const { values, dims } = this.weights.matrices.get(path)!;
    const weight = this.floats(`onnx::MatMul_${this.initializers.length}`, values, dims);
    const product = this.named(this.g.MatMul(x, weight), `${scopeOf(path)}/MatMul`);
    const bias = this.weights.biases.get(path);
    return bias ? this.g.Add(this.floats(`${path}.bias`, bias, [dims[1]]), product) : product;
  }

  #norm(path: string, x: Value): Value {
    const { g } = this;
    const root = g.Sqrt(g.Add(g.ReduceMean(g.Mul(x, x), [-1], true), epsilon));
    return g.Mul(g.Div(x, root), this.floats(`${path}.weight`, this.weights.norms.get(path)!, [hidden]));
  }

  #attention(path: string, x: Value, [cos, sin]: readonly [Value, Value], unseen: Value): Value {
    const { g, groups } = this;
    const byHead = (name: string, count: number): Value =>
      g.Transpose(g.Reshape(this.#linear(`${path}.${name}`, x), [0, 0, count, width]), [0, 2, 1, 3]);
    const turned = (y: Value): Value => {
      const [a, b] = g.Split(y, [width / 2, width / 2], 3) as [Value, Value];
      return g.Concat([g.Sub(g.Mul(a, cos), g.Mul(b, sin)), g.Add(g.Mul(b, cos), g.Mul(a, sin))], 3);
    };
    // Each key and value for the queries of its group.
    const spread = (y: Value): Value => g.Gather(y, g.constant(int64(Array.from({ length: heads }, (_, i) => Math.floor((i * groups) / heads)), [heads])), 1); // prettier-ignore
    const q = turned(byHead('q_proj', heads));
    const k = spread(turned(byHead('k_proj', groups)));
    const v = spread(byHead('v_proj', groups));
    const scores = g.Add(g.Mul(g.MatMul(q, g.Transpose(k, [0, 1, 3, 2])), 1 / Math.sqrt(width)), unseen);
    const attended = g.Transpose(g.MatMul(g.Softmax(scores, -1), v), [0, 2, 1, 3]);
    return this.#linear(`${path}.o_proj`, g.Reshape(attended, [0, 0, heads * width]));
  }
}

/** As onnxruntime-genai's builder writes it: its operators, its names, and a past. */
class BuilderDecoder extends Decoder {
  readonly #form: DecoderForm;

  constructor(weights: Weights, form: DecoderForm, groups: number) {
    super(weights, groups);
    this.#form = form;
  }

  model(): Graphed {
    const { g, groups } = this;
    const isGrouped = this.#form.attention === 'grouped';
    const ids = this.input('input_ids', 'batch_size', 'sequence_length');
    const mask = this.input('attention_mask', 'batch_size', 'total_sequence_length');
    const places = this.input('position_ids', 'batch_size', 'sequence_length');
    const pasts = Array.from(
      { length: layers },
      (_, i) =>
      ['key', 'value'].map((name) => this.input(`past_key_values.${i}.${name}`, 'batch_size', groups, 'past_sequence_length', width)), // prettier-ignore
    );
    const tables = this.weights.tables.map((values, i) => this.floats(i === 0 ? 'cos_cache' : 'sin_cache', values, [positions, width / 2])); // prettier-ignore
    const context = isGrouped ? this.#lengths(mask) : [places, this.mask(mask, ids)];
    const presents: Value[] = [];
    let sum = this.embedded(ids);
    let x = this.#firstNorm(sum);
    for (let i = 0; i < layers; i++) {
      const at = `model.layers.${i}`;
      const linear = (name: string, y: Value): Value => this.#linear(`${at}.${name}`, [`${at}.${name}`], y);
      const attended = isGrouped ? this.#grouped(at, x, pasts[i]!, context, tables) : this.#multiHead(at, x, pasts[i]!, context, tables); // prettier-ignore
      const node = g.nodes.at(-1)!;
      const names = ['key', 'value'].map((name) => `present.${i}.${name}`);
      node.output = [node.output![0]!, ...names];
      presents.push(...names.map((name): Value => ({ name, type: 'float32', shape: ['batch_size', groups, 'total_sequence_length', width] }))); // prettier-ignore
      [x, sum] = this.#skipNorm(sum, linear('self_attn.o_proj', { ...attended, name: node.output[0]! }), `${at}.post_attention_layernorm`); // prettier-ignore
      const next = i + 1 < layers ? `model.layers.${i + 1}.input_layernorm` : 'model.norm';
      [x, sum] = this.#skipNorm(sum, this.gated(x, linear), next);
    }
    const logits = this.#linear('lm_head', ['lm_head'], x);
    g.nodes.at(-1)!.output = ['logits'];
    const inputs = [ids, mask, ...(isGrouped ? [] : [places]), ...pasts.flat()];
    return this.modelOf(inputs, [{ ...logits, name: 'logits', shape: ['batch_size', 'sequence_length', vocabulary] }, ...presents]); // prettier-ignore
  }

  /** The last key of each row, and how many there are at most, as the attention reads them. */
  #lengths(mask: Value): readonly Value[] {
    const { g } = this;
    const last = g.Cast(g.Sub(g.ReduceSum(mask, [1], true), g.scalar(1, 'int64')), 6);
    return [last, g.Cast(g.Gather(g.Shape(mask), g.scalar(1, 'int64'), 0), 6)];
  }

  /** A layer of several modules side by side. */
  #linear(path: string, modules: readonly string[], x: Value): Value {
    const name = path.replace('self_attn', 'attn');
    const product = this.#product(name, modules, x);
    const biases = modules.map((each) => this.weights.biases.get(each) ?? []);
    const bias = Float32Array.from(biases.flatMap((each) => [...each]));
    if (bias.length === 0) return product;
    return this.named(
      this.g.Add(product, this.floats(`${name}.Add.bias`, bias, [bias.length])),
      `${scopeOf(name)}/Add`,
    );
  }

  /** A product with their weights, of four bits where they are. */
  #product(name: string, modules: readonly string[], x: Value): Value {
    const { g } = this;
    const node = `${scopeOf(name)}/MatMul`;
    const parts = modules.map((each) => this.weights.matrices.get(each)!);
    const [K, N] = [parts[0]!.dims[0], parts.reduce((sum, { dims }) => sum + dims[1], 0)];
    const weight = `${name}.MatMul.weight`;
    const joined = <T extends Float32Array | Uint8Array>(arrays: readonly T[]): number[] => arrays.flatMap((each) => [...each]); // prettier-ignore
    if (parts.every(({ blocks }) => blocks)) {
      const codes = Uint8Array.from(joined(parts.map(({ blocks }) => blocks!.codes)));
      const dims = [N, K / 32, 16];
      this.initializers.push(tensorProto(`${weight}_Q4`, { type: 'uint8', dims, data: codes }));
      const scales = this.floats(`${weight}_scales`, Float32Array.from(joined(parts.map(({ blocks }) => blocks!.scales))), [(N * K) / 32]); // prettier-ignore
      const attributes = { K, N, bits: 4, block_size: 32 };
      return this.named(g.emit('MatMulNBits', [x, { name: `${weight}_Q4`, type: 'uint8', shape: dims }, scales], attributes, contrib), `${node}_Q4`); // prettier-ignore
    }
    const values = new Float32Array(K * N);
    let column = 0;
    for (const { values: own, dims } of parts) {
      own.forEach((value, i) => (values[Math.floor(i / dims[1]) * N + column + (i % dims[1])] = value));
      column += dims[1];
    }
    return this.named(g.MatMul(x, this.floats(weight, values, [K, N])), node);
  }

  #gamma(path: string): Value {
    return this.floats(`${path}.weight`, this.weights.norms.get(path)!, [hidden]);
  }

  #firstNorm(x: Value): Value {
    return this.g.emit('SimplifiedLayerNormalization', [x, this.#gamma('model.layers.0.input_layernorm')], { axis: -1, epsilon, stash_type: 1 }); // prettier-ignore
  }

  /** The sum of both, normed, and the sum. */
  #skipNorm(skip: Value, x: Value, path: string): [Value, Value] {
    const outputs = this.g.emitMany('SkipSimplifiedLayerNormalization', [skip, x, this.#gamma(path)], 4, { epsilon }, contrib); // prettier-ignore
    this.g.nodes.at(-1)!.output = outputs.map(({ name }, i) => (i === 1 || i === 2 ? '' : name));
    return [outputs[0]!, outputs[3]!];
  }

  #grouped(at: string, x: Value, past: readonly Value[], lengths: readonly Value[], tables: readonly Value[]): Value {
    const projections = ['q_proj', 'k_proj', 'v_proj'].map((name) => `${at}.self_attn.${name}`);
    const qkv = this.#linear(`${at}.self_attn.qkv_proj`, projections, x);
    const attributes = { num_heads: heads, kv_num_heads: this.groups, do_rotary: 1, rotary_interleaved: 0, scale: 1 / Math.sqrt(width), local_window_size: -1 }; // prettier-ignore
    const inputs = [qkv, undefined, undefined, ...past, ...lengths, ...tables];
    const attended = this.g.emitMany('GroupQueryAttention', inputs, 3, attributes, contrib)[0]!;
    return this.named(attended, `${scopeOf(at)}/attn/GroupQueryAttention`);
  }

  #multiHead(
    at: string,
    x: Value,
    past: readonly Value[],
    [places, unseen]: readonly Value[],
    tables: readonly Value[],
  ): Value {
    const { g } = this;
    const [q, k, v] = ['q_proj', 'k_proj', 'v_proj'].map((name) => this.#linear(`${at}.self_attn.${name}`, [`${at}.self_attn.${name}`], x)) as [Value, Value, Value]; // prettier-ignore
    const turned = [q, k].map((each) => g.emit('RotaryEmbedding', [each, places, ...tables], { interleaved: 0, num_heads: heads, rotary_embedding_dim: 0 }, contrib)); // prettier-ignore
    const inputs = [...turned, v, undefined, undefined, unseen, ...past];
    return g.emitMany('MultiHeadAttention', inputs, 3, { num_heads: heads, scale: 1 / Math.sqrt(width) }, contrib)[0]!;
  }
}
