/** @file The node under expansion, as a rule of the table sees it: its inputs, its attributes, and a builder. */

import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { dataTypeName, dataTypeNumber } from '../../graph/dataType.ts';
import type { NodeProto, TensorProto } from '../../graph/proto.ts';
import { type Dim, isStatic, type ValueType } from '../../graph/value.ts';
import { attribute, floatAttribute, intAttribute, intsAttribute, stringAttribute } from '../../graph/walk.ts';
import type { DataType } from '../../runtime/tensor.ts';
import { inferNode } from '../infer.ts';
import { attributeOf } from '../schema.ts';

/** What is known around a node that is to be expanded. */
export interface ExpansionContext {
  /** Types of the values of the graph, by name. */
  readonly types: ReadonlyMap<string, ValueType>;
  /** Initializers and the tensors of Constant nodes, by name. */
  readonly constants: ReadonlyMap<string, TensorProto>;
  /** Version of the standard operator set that the model imports. */
  readonly opset: number;
  /** Prefix of all new names; unique to the node. */
  readonly prefix: string;
}

/** What a rule yields: one value an output of the node, in order; undefined for one that it cannot compute. */
export type Expanded = Value | readonly (Value | undefined)[] | undefined;

/** A rule of the table: emits the standard operators of a node; undefined for a form that it does not cover. */
export type Rule = (site: ExpansionSite) => Expanded;

const floats: ReadonlySet<DataType | undefined> = new Set(['float32', 'float64', 'float16', 'bfloat16']);

/** A node under expansion. */
export class ExpansionSite {
  readonly node: NodeProto;
  /** Where the standard operators are emitted. */
  readonly g: GraphBuilder;
  /** Inputs in the node's order; undefined for an omitted one. */
  readonly inputs: readonly (Value | undefined)[];
  readonly opset: number;
  /** Names that the rule chose for values, by the name the builder gave. */
  readonly valueNames: Map<string, string> = new Map();
  /** Names that the rule chose for nodes, by the builder's name of their first output. */
  readonly nodeNames: Map<string, string> = new Map();
  readonly #constants: ReadonlyMap<string, TensorProto>;
  readonly #scope: string;

  /** @param g where to emit; a builder of its own by default */
  constructor(node: NodeProto, { types, constants, opset, prefix }: ExpansionContext, g?: GraphBuilder) {
    this.node = node;
    this.opset = opset;
    this.#constants = constants;
    this.#scope = prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`;
    this.g = g ?? new GraphBuilder({ opset, infer: inferNode, prefix: this.#scope });
    this.inputs = (node.input ?? []).map((name) => {
      if (!name) return undefined;
      const constant = constants.get(name);
      const { type, shape, ints } = types.get(name) ?? {};
      return { name, type: type ?? dataTypeName(constant?.dataType), shape: shape ?? constant?.dims, ints };
    });
  }

  /** Whether something may read output number `index`. */
  wants(index: number): boolean {
    return Boolean(this.node.output?.[index]);
  }

  /** Whether the node has the attribute. */
  has(name: string): boolean {
    return attribute(this.node, name) !== undefined;
  }

  /** An attribute, or what its operator's schema says. */
  of<Name extends Parameters<typeof attributeOf>[1]>(name: Name): ReturnType<typeof attributeOf<Name>> {
    return attributeOf(this.node, name);
  }

  /** An integer attribute. */
  int<T extends number | undefined>(name: string, fallback: T): number | T {
    return intAttribute(this.node, name, fallback);
  }

  /** A float attribute. */
  float<T extends number | undefined>(name: string, fallback: T): number | T {
    return floatAttribute(this.node, name, fallback);
  }

  /** A list-of-integers attribute. */
  ints(name: string): number[] | undefined {
    return intsAttribute(this.node, name);
  }

  /** A list-of-floats attribute; empty where the node has none. */
  floats(name: string): readonly number[] {
    return attribute(this.node, name)?.floats ?? [];
  }

  /** A string attribute. */
  string(name: string, fallback: string): string {
    return stringAttribute(this.node, name, fallback);
  }

  /** The tensor of a value that the file fixes. */
  constant(value: Value | undefined): TensorProto | undefined {
    return value && this.#constants.get(value.name);
  }

  /** The float type that the node computes in: that of its first float input; undefined where none is known. */
  get floatType(): DataType | undefined {
    return this.inputs.find((input) => floats.has(input?.type))?.type;
  }

  /** A scalar of the float type that the node computes in. */
  scalar(value: number): Value {
    const type = this.floatType;
    if (type === 'float16' || type === 'bfloat16') return this.cast(this.g.scalar(value), type);
    return this.g.scalar(value, type);
  }

  /** x in another element type; x itself where it has it already. */
  cast(x: Value, type: DataType): Value {
    return x.type === type ? x : this.g.Cast(x, dataTypeNumber(type));
  }

  /** Calls the value `<prefix>name` in the expansion. */
  named(value: Value, name: string): Value {
    this.valueNames.set(value.name, `${this.#scope}${name}`);
    return value;
  }

  /** Calls the node that makes the value `<prefix>name`; without a name, as the node that is expanded is called. */
  layer(value: Value, name?: string): Value {
    const chosen = name === undefined ? this.node.name : `${this.#scope}${name}`;
    if (chosen) this.nodeNames.set(value.name, chosen);
    return value;
  }
}

/** The sizes of a value where all of them are numbers. */
export function staticShape(value: Value | undefined): readonly number[] | undefined {
  return isStatic(value?.shape) ? value.shape : undefined;
}

/** A dimension where it is a number; negative axes count from the end. */
export function staticDim(value: Value | undefined, axis: number): number | undefined {
  const dim: Dim | undefined = value?.shape?.at(axis);
  return typeof dim === 'number' ? dim : undefined;
}

/** How many dimensions a value has, where that is known. */
export function rankOf(value: Value | undefined): number | undefined {
  return value?.shape?.length;
}
