/** @file Connects inputs and outputs of the parts of a model, and names the others. */

import { OnnxLoraError } from '../../errors.ts';
import { dataTypeName } from '../../graph/dataType.ts';
import type { GraphProto, ModelProto, ValueInfoProto } from '../../graph/proto.ts';

/** A graph to compose. */
export interface GraphPart {
  /** Name in errors and in suffixes. */
  readonly name: string;
  readonly model: ModelProto & { readonly graph: GraphProto };
  /** Earlier outputs by input; other inputs read the output of their name, or are inputs of the whole. */
  readonly reads?: Readonly<Record<string, string>>;
  /** Names of inputs in the composed model. Inputs of one name are merged. */
  readonly inputNames?: Readonly<Record<string, string>>;
  /** Whether the part reads nothing of earlier ones. */
  readonly standsAlone?: boolean;
}

/** An input or output of a part. */
export interface Port {
  /** Name in the part. */
  readonly own: string;
  /** Name in the composed model. */
  readonly name: string;
  readonly info: ValueInfoProto;
}

/** An input of a part. */
export interface InputPort extends Port {
  /** The output that it reads, if any. */
  readonly isRead?: Port;
}

/** A part with its inputs, without initializers, and its outputs. */
export interface PlannedPart {
  readonly part: string;
  readonly inputs: readonly InputPort[];
  readonly outputs: readonly Port[];
}

/**
 * Connects the parts.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` if a part reads nothing of earlier ones, an unknown output, or another type
 */
export function planPorts(parts: readonly GraphPart[]): PlannedPart[] {
  const plan: PlannedPart[] = [];
  for (const { name: part, model, reads = {}, inputNames = {}, standsAlone = false } of parts) {
    const earlier = plan.flatMap(({ outputs }) => outputs);
    const known = plan.flatMap(({ inputs }) => inputs);
    const free = (name: string): string => {
      const isTaken = [...earlier, ...known].some((port) => port.name === name);
      return isTaken ? `${part}.${name}` : name;
    };
    const constants = new Set((model.graph.initializer ?? []).map(({ name }) => name));
    const own = (model.graph.input ?? []).filter(({ name }) => !constants.has(name));
    const unknown = Object.keys({ ...reads, ...inputNames }).find((name) => own.every((info) => info.name !== name));
    if (unknown !== undefined) throw noSuchPort(part, 'input', unknown, own);
    const inputs = own.map((info): InputPort => {
      const name = info.name ?? '';
      const read = entryOf(reads, name);
      const wanted = read ?? name;
      const found = earlier.findLast((port) => port.own === wanted);
      if (found) return { own: name, name: found.name, info, isRead: checkedType(found, info, part) };
      if (read !== undefined) throw noSuchPort('the files before', 'output', wanted, earlier.map((port) => port.info)); // prettier-ignore
      const given = entryOf(inputNames, name);
      if (given === undefined) return { own: name, name: free(name), info };
      const same = known.find((port) => port.name === given && !port.isRead);
      if (same) checkedType(same, info, part);
      return { own: name, name: given, info };
    });
    if (plan.length > 0 && !standsAlone && inputs.every(({ isRead }) => !isRead)) {
      throw new OnnxLoraError(
        'MODEL_UNSUPPORTED',
        `"${part}" reads nothing of the files before it: its inputs are ${listed(own)}, their outputs are ${listed(earlier.map(({ info }) => info))}. Say which output feeds which input.`,
      );
    }
    const outputs = (model.graph.output ?? []).map((info) => {
      const name = info.name ?? '';
      const isInput = inputs.some((port) => port.name === name && port.own !== name);
      return { own: name, name: isInput ? `${part}.${name}` : free(name), info };
    });
    plan.push({ part, inputs, outputs });
  }
  return plan;
}

/** A file may call an input `constructor`. */
function entryOf(names: Readonly<Record<string, string>>, name: string): string | undefined {
  return Object.hasOwn(names, name) ? names[name] : undefined;
}

function checkedType(before: Port, info: ValueInfoProto, part: string): Port {
  const [from, to] = [before.info, info].map(({ type }) => type?.tensorType?.elemType);
  if (from === undefined || to === undefined || from === to) return before;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${before.name}" is ${dataTypeName(from)}, but "${part}" reads it as ${dataTypeName(to)} ("${info.name}"). Use files of one precision.`,
  );
}

function noSuchPort(
  part: string,
  what: 'input' | 'output',
  name: string,
  infos: readonly ValueInfoProto[],
): OnnxLoraError {
  const where = what === 'input' ? `"${part}" has` : `${part} have`;
  return new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `${where[0]!.toUpperCase()}${where.slice(1)} no ${what} "${name}" to connect. There are ${listed(infos)}.`,
  );
}

function listed(infos: readonly ValueInfoProto[]): string {
  return infos.map(({ name }) => `"${name}"`).join(', ');
}
