/** @file The node under expansion, as a rule sees it: inputs, attributes, and a builder. */

import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { dataTypeName, dataTypeNumber } from '../../graph/dataType.ts';
import type { NodeProto, TensorProto } from '../../graph/proto.ts';
import { type Dim, isStatic, type ValueType } from '../../graph/value.ts';
import { attribute, floatAttribute, intAttribute, intsAttribute, stringAttribute } from '../../graph/walk.ts';
import type { DataType } from '../../runtime/tensor.ts';
import { inferNode } from '../infer.ts';
import { attributeOf } from '../schema.ts';

/** Context of a node to expand. */
export interface ExpansionContext {
  /** Value types by name. */
  readonly types: ReadonlyMap<string, ValueType>;
  /** Initializers and Constant tensors by name. */
  readonly constants: ReadonlyMap<string, TensorProto>;
  readonly opset: number;
  /** Prefix of new names, unique to the node. */
  readonly prefix: string;
}

/** One value per output of the node, in order; undefined for one that the rule cannot compute. */
export type Expanded = Value | readonly (Value | undefined)[] | undefined;

/** Emits the standard operators of a node; undefined for a form that it does not cover. */
export type Rule = (site: ExpansionSite) => Expanded;

const floats: ReadonlySet<DataType | undefined> = new Set(['float32', 'float64', 'float16', 'bfloat16']);

/** A node under expansion. */
export class ExpansionSite {
  readonly node: NodeProto;
  readonly g: GraphBuilder;
  /** Inputs in order; undefined for an omitted one. */
  readonly inputs: readonly (Value | undefined)[];
  readonly opset: number;
  /** Value names chosen by the rule, by the builder's name. */
  readonly valueNames: Map<string, string> = new Map();
  /** Node names chosen by the rule, by the builder's name of their first output. */
  readonly nodeNames: Map<string, string> = new Map();
  readonly #constants: ReadonlyMap<string, TensorProto>;
  readonly #scope: string;

  /** @param g the builder to emit to; a new one by default */
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

  /** Whether output `index` is used. */
  wants(index: number): boolean {
    return Boolean(this.node.output?.[index]);
  }

  /** Whether the node has an attribute. */
  has(name: string): boolean {
    return attribute(this.node, name) !== undefined;
  }

  /** An attribute, or its schema's default. */
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

  /** An integer list attribute. */
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

  /** The tensor of a constant value. */
  constant(value: Value | undefined): TensorProto | undefined {
    return value && this.#constants.get(value.name);
  }

  /** Float type of the node: that of its first float input; undefined if unknown. */
  get floatType(): DataType | undefined {
    return this.inputs.find((input) => floats.has(input?.type))?.type;
  }

  /** A scalar of the node's float type. */
  scalar(value: number): Value {
    const type = this.floatType;
    if (type === 'float16' || type === 'bfloat16') return this.cast(this.g.scalar(value), type);
    return this.g.scalar(value, type);
  }

  /** x cast to another type, or x itself. */
  cast(x: Value, type: DataType): Value {
    return x.type === type ? x : this.g.Cast(x, dataTypeNumber(type));
  }

  /** Names the value `<prefix>name`. */
  named(value: Value, name: string): Value {
    this.valueNames.set(value.name, `${this.#scope}${name}`);
    return value;
  }

  /** Names the producer of a value `<prefix>name`; without a name, like the expanded node. */
  layer(value: Value, name?: string): Value {
    const chosen = name === undefined ? this.node.name : `${this.#scope}${name}`;
    if (chosen) this.nodeNames.set(value.name, chosen);
    return value;
  }
}

/** The shape if it is static. */
export function staticShape(value: Value | undefined): readonly number[] | undefined {
  return isStatic(value?.shape) ? value.shape : undefined;
}

/** A dimension if it is static; negative axes count from the end. */
export function staticDim(value: Value | undefined, axis: number): number | undefined {
  const dim: Dim | undefined = value?.shape?.at(axis);
  return typeof dim === 'number' ? dim : undefined;
}

/** The rank if it is known. */
export function rankOf(value: Value | undefined): number | undefined {
  return value?.shape?.length;
}
