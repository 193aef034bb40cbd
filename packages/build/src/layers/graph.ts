/** @file A graph under construction: inputs, outputs, weights, and the resulting model. */

import type { DataType } from '@onnx-lora/sdk';
import {
  type Dim,
  type Bytes,
  dataTypeNumber,
  inferNode,
  type ModelProto,
  readFloats,
  type StoredTensor,
  type TensorProto,
  type ValueInfoProto,
} from '@onnx-lora/sdk/plugin';
import { type Value, GraphBuilder, toHalf, toShorts } from '@onnx-lora/sdk/tasks';
import { requireModules } from './bounds.ts';
import type { ModuleNames } from '../checkpoint/moduleNames.ts';
import type { Weights } from '../checkpoint/weights.ts';
import { reachableNodes, RUNTIME, withSkipNorms } from './fused.ts';

/** Options of a graph. */
export interface GraphOptions {
  /** Version of the standard operators; 17 at least. */
  readonly opset: number;
  /** `stored`: in the checkpoint's files, cast in the graph. `float32`: no casts. `float16`: half the space. */
  readonly weights: WeightType;
  /** Operators of ONNX only, or of ONNX Runtime too. */
  readonly form: GraphForm;
  /** Names of its modules. */
  readonly names: ModuleNames;
}

/** `plain`: ONNX operators only. `fused`: ONNX Runtime's operators where they apply. */
export type GraphForm = 'plain' | 'fused';

/** Storage type of a graph's weights. */
export type WeightType = 'stored' | 'float32' | 'float16';

/** The IR version of opset 17. */
const IR_VERSION = 8;

/** Collects nodes, weights, inputs and outputs. */
export class Graph {
  /** The checkpoint's tensors. */
  readonly weights: Weights;
  /** The graph's options. */
  readonly options: GraphOptions;
  readonly #builder: GraphBuilder;
  readonly #stored = new Map<string, TensorProto>();
  readonly #parameters = new Map<string, Value>();
  readonly #inputs: Value[] = [];
  readonly #outputs: Value[] = [];
  #modules = 0;
  /** Output names by value name. */
  readonly #names = new Map<string, string>();

  /** An empty graph over a checkpoint's weights. */
  constructor(weights: Weights, options: GraphOptions) {
    this.weights = weights;
    this.options = options;
    this.#builder = new GraphBuilder({ opset: options.opset, infer: inferNode, prefix: '/' });
  }

  /** A builder that names nodes after a module, as torch does: `/encoder/layer.0/dense/MatMul_7`. @throws RangeError */
  builder(path: string): GraphBuilder {
    requireModules(++this.#modules);
    const scope = this.options.names.ofModule(path).replaceAll(/\.(?!\d)/g, '/');
    return this.#builder.scope(scope === '' ? '/' : `/${scope}/`);
  }

  /** Declares an input. Equal dimension names mean equal sizes. */
  input(name: string, type: DataType, shape: readonly Dim[]): Value {
    const value = { name, type, shape };
    this.#inputs.push(value);
    return value;
  }

  /** Declares an output; `dims` replace the inferred sizes. */
  output(name: string, value: Value, dims?: readonly Dim[]): void {
    // An input or another output keeps its name.
    const isNamed = this.#names.has(value.name) || !this.#builder.types.has(value.name);
    const own = isNamed ? this.#builder.Identity(value) : value;
    this.#names.set(own.name, name);
    this.#outputs.push({ name, type: own.type, shape: dims ?? own.shape });
  }

  /** A parameter by its transformers 4 name, in the checkpoint's file, cast to float32 if narrower. */
  parameter(name: string, dims: readonly number[]): Value {
    const known = this.#parameters.get(name);
    if (known) return known;
    const found = this.weights.find(name, dims);
    const { weights, names } = this.options;
    const type = weights === 'stored' ? (found?.type ?? 'float32') : weights;
    const own = names.ofParameter(name);
    const stored: Value = { name: own, type, shape: dims };
    if (found) this.#keep(own, dims, type, asType(found, type));
    const value = type === 'float32' ? stored : this.#builder.scope(`/${own}/`).Cast(stored, dataTypeNumber('float32')); // prettier-ignore
    this.#parameters.set(name, value);
    return value;
  }

  /** A float32 weight computed on demand. */
  computed(name: string, dims: readonly number[], compute: () => Float32Array): Value {
    const length = dims.reduce((size, dim) => size * dim, 4);
    const bytes = (): Uint8Array => {
      const { buffer, byteOffset, byteLength } = compute();
      return new Uint8Array(buffer, byteOffset, byteLength);
    };
    const own = this.options.names.ofParameter(name);
    this.#keep(own, dims, 'float32', { length, compute: bytes });
    return { name: own, type: 'float32', shape: dims };
  }

  #keep(name: string, dims: readonly number[], type: DataType, rawData: Bytes): void {
    this.#stored.set(name, { name, dims: [...dims], dataType: dataTypeNumber(type), rawData });
  }

  #fusedNodes(): NonNullable<NonNullable<ModelProto['graph']>['node']> {
    const { nodes, types } = this.#builder;
    const outputs = new Set(this.#names.keys());
    return withSkipNorms(
      reachableNodes(nodes, outputs),
      (value) => types.get(value)?.shape ?? (this.#stored.get(value)?.dims as readonly number[] | undefined),
      outputs,
    );
  }

  /** The finished model. */
  model(name: string): ModelProto {
    const named = (value: string): string => this.#names.get(value) ?? value;
    const isFused = this.options.form === 'fused';
    return {
      irVersion: IR_VERSION,
      producerName: 'onnx-lora',
      opsetImport: [{ domain: '', version: this.options.opset }, ...(isFused ? [{ domain: RUNTIME, version: 1 }] : [])],
      graph: {
        name,
        node: (isFused ? this.#fusedNodes() : this.#builder.nodes).map((node) => ({
          ...node,
          input: node.input!.map(named),
          output: node.output!.map(named),
        })),
        initializer: [...this.#stored.values(), ...this.#builder.initializers],
        input: this.#inputs.map(declared),
        output: this.#outputs.map(declared),
      },
    };
  }
}

/** A tensor's bytes in a type: in place, or converted on demand. */
function asType({ type, dims, bytes }: StoredTensor, wanted: DataType): Bytes {
  if (type === wanted) return bytes;
  const proto: TensorProto = { dims: [...dims], dataType: dataTypeNumber(type), rawData: bytes };
  const length = dims.reduce((size, dim) => size * dim, wanted === 'float32' ? 4 : 2);
  const compute = (): Uint8Array => {
    const numbers = readFloats(proto);
    const { buffer, byteOffset, byteLength } = wanted === 'float32' ? numbers : toShorts(numbers, toHalf);
    return new Uint8Array(buffer, byteOffset, byteLength);
  };
  return { length, compute };
}

function declared({ name, type = 'float32', shape }: Value): ValueInfoProto {
  const dim = shape?.map((size) => {
    if (typeof size === 'number') return { dimValue: size };
    return /^\w+$/.test(size) || size.includes(' ') ? { dimParam: size } : {};
  });
  return { name, type: { tensorType: { elemType: dataTypeNumber(type), ...(dim ? { shape: { dim } } : {}) } } };
}
