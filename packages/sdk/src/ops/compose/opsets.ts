/** @file Common opsets of graphs to compose. */

import { OnnxLoraError } from '../../errors.ts';
import type { OperatorSetId } from '../../graph/proto.ts';
import { isStandard } from '../domains.ts';
import { changedBetween } from '../functions/functionOpset.ts';
import type { GraphPart } from './ports.ts';

/** Since this opset operators broadcast as now. */
const FIRST_MODERN = 7;

/**
 * Newest version of each operator set.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for an operator that changed up to it
 */
export function commonOpsets(parts: readonly GraphPart[]): OperatorSetId[] {
  const newest = new Map<string, number>();
  for (const { domain, version } of parts.flatMap(importsOf))
    newest.set(domain, Math.max(version, newest.get(domain) ?? 0));
  for (const part of parts) {
    for (const { domain, version } of importsOf(part)) {
      const wanted = newest.get(domain)!;
      if (version === wanted) continue;
      const reason = domain === '' ? reasonAgainst(part, version, wanted) : 'whose changes are not known';
      if (reason === undefined) continue;
      throw new OnnxLoraError(
        'MODEL_UNSUPPORTED',
        `"${part.name}" is written for version ${version} of the ${domain === '' ? 'standard operators' : `operators of ${domain}`}, another file of the model for version ${wanted}, ${reason}. Export all files with one opset, or convert this one with onnx.version_converter.`,
      );
    }
  }
  return [...newest].map(([domain, version]) => ({ domain, version }));
}

function reasonAgainst({ model }: GraphPart, from: number, to: number): string | undefined {
  if (from < FIRST_MODERN) return 'and what lies between is too much to be read alike';
  const changed = changedBetween(model.graph.node ?? [], from, to);
  return changed && `and ${changed.opType} changed between them`;
}

function importsOf({ model }: GraphPart): { readonly domain: string; readonly version: number }[] {
  return (model.opsetImport ?? []).map(({ domain = '', version = 0 }) => ({
    domain: isStandard(domain) ? '' : domain,
    version,
  }));
}
