/** @file Sites for the queries, keys and values of a fused layer. */

import type { NodeProto } from '../../graph/proto.ts';
import type { ValueType } from '../../graph/value.ts';
import type { GraphIndex } from '../../graph/walk.ts';
import { attentionParts, attentionRole } from './attentionParts.ts';
import { nextAmong } from './attentionRoles.ts';
import { type NonMatch, nodeLabel } from '../mismatch.ts';
import type { Site } from '../site.ts';
import { partPaths, type Projection } from '../structuralPath.ts';
import { fusedFrom } from '../view.ts';
import { type Runs, runsOf } from '../weights/index.ts';

/** The sites, with the parts of each fused QKV layer behind it. */
export function withParts(sites: readonly Site[]): readonly Site[] {
  return sites.flatMap((site) => [site, ...(site.parts ?? [])]);
}

/** Adds q, k and v parts to fused layers, under new paths. @param unsplit called with each unsplit layer and why */
export function findParts(
  sites: readonly Site[],
  index: GraphIndex,
  typeOf: (value: string) => ValueType | undefined,
  unsplit?: (site: Site, reason: string) => void,
): Site[] {
  const paths = new Set(sites.map(({ path }) => path));
  const pathBehind = pathsBehind(sites, index);
  return sites.map((site) => {
    const explain = (reason: string): void => unsplit?.(site, reason);
    const found = site.foldedScale ? undefined : attentionParts(site, unsplit ? { ...index, explain } : index, typeOf);
    const path = site.pathSource === 'value-name' ? undefined : site.path;
    const named = found && partPaths({ path, attended: found.attended, outputPath: pathBehind(found.attended) });
    if (found && !named) explain('neither it nor the layer behind its attention has a name that its parts could take');
    if (!named) return site;
    const { attention, names } = named;
    const parts = [...found.outputs].map(([as, outputs]) => {
      const path = `${attention}.${names[as]}`;
      const own = (place: Site): Site => partOf(place, { path, as, attention, outputs, whole: site.path });
      return { ...own(site), alsoAt: site.alsoAt.map(own) };
    });
    const areNew = parts.every(({ path }) => !paths.has(path));
    if (!areNew) explain('the model has other modules with the names that its parts would take');
    for (const { path } of parts) paths.add(path);
    return areNew ? { ...site, parts } : site;
  });
}

/** Layers that look fused but are not split, with the reasons. */
export function unsplitLayers(
  sites: readonly Site[],
  index: GraphIndex,
  typeOf: (value: string) => ValueType | undefined,
): NonMatch[] {
  const found: NonMatch[] = [];
  findParts(sites, index, typeOf, ({ node }, reason) => found.push({ pattern: 'fused QKV', at: nodeLabel(node), reason })); // prettier-ignore
  return found;
}

/** Returns a function that finds the path of the layer that reads values without another product in between. */
function pathsBehind(sites: readonly Site[], index: GraphIndex): (values: readonly string[]) => string | undefined {
  const readers = new Map(sites.flatMap((site) => [site, ...site.alsoAt]).map((site) => [site.input, site]));
  return (values) => {
    const read = values.map((value) => nextAmong(value, index, (each) => readers.has(each)));
    const reader = read.map((value) => readers.get(value ?? '')).find((each) => each !== undefined);
    return reader?.pathSource === 'value-name' ? undefined : reader?.path;
  };
}

/** The sites, with unnamed unpacked projections renamed by the role they have in the attention. */
export function withProjections(
  sites: readonly Site[],
  index: GraphIndex,
  typeOf: (value: string) => ValueType | undefined,
): Site[] {
  const joined = new Map<NodeProto, Site[]>();
  for (const site of sites) {
    const fused = site.pathSource === 'value-name' ? fusedFrom(site.node) : undefined;
    if (fused?.opType === 'MatMul') joined.set(fused, [...(joined.get(fused) ?? []), site]);
  }
  const paths = new Set(sites.map(({ path }) => path));
  const pathBehind = pathsBehind(sites, index);
  const renamed = new Map<Site, Site>();
  for (const group of joined.values()) {
    const roles = group.map((site) => attentionRole(site, index, typeOf));
    const attended = roles.flatMap((role) => role?.attended ?? []);
    const named = partPaths({ path: undefined, attended, outputPath: pathBehind(attended) });
    const own = roles.flatMap((role) => (role && named ? [`${named.attention}.${named.names[role.as]}`] : []));
    if (new Set(own).size < group.length || own.some((path) => paths.has(path))) continue;
    for (const path of own) paths.add(path);
    group.forEach((site, i) => {
      const name = { path: own[i]!, pathSource: 'structure', projection: { of: named!.attention, as: roles[i]!.as } } as const; // prettier-ignore
      renamed.set(site, { ...site, ...name, alsoAt: site.alsoAt.map((place) => ({ ...place, ...name })) });
    });
  }
  return sites.map((site) => renamed.get(site) ?? site);
}

function partOf(
  place: Site,
  {
    path,
    as,
    attention,
    outputs,
    whole,
  }: {
    readonly path: string;
    readonly as: Projection;
    readonly attention: string;
    readonly outputs: Runs;
    readonly whole: string;
  },
): Site {
  const [total = 0, width = 0] = place.weightShape;
  const { weight, bias } = place;
  return {
    ...place,
    path,
    pathSource: 'structure',
    weightShape: [outputs.size * outputs.count, width],
    weight: { ...weight, stored: runsOf(weight.stored, weight.layout === 'in-out' ? 1 : 0, outputs) },
    ...(bias ? { bias: { ...bias, stored: runsOf(bias.stored, bias.stored.dims.length - 1, outputs) } } : {}),
    projection: { of: attention, as },
    part: { ...outputs, of: whole, total },
    alsoAt: [],
  };
}
