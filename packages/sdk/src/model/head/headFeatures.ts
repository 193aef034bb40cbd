/** @file What a whole head reads, of however many layers it is. */

import type { GraphProto } from '../../graph/proto.ts';
import { indexWhole } from '../../graph/walk.ts';
import type { Site } from '../../match/sites.ts';

/**
 * The first layer of the head that gives `output`. Layers belong to one head where their paths begin with the same name, as
 * `lm_head.dense` and `lm_head.decoder`. Undefined where no layer gives the output, where what gives it is not behind other
 * layers, as the last of an encoder, or where the head reads several values.
 */
export function firstOfHead(graph: GraphProto, sites: readonly Site[], output: string): Site | undefined {
  const { producer, constants } = indexWhole(graph);
  const byValue = new Map(sites.flatMap((site) => [[site.output, site] as const, [site.product, site] as const]));
  /** Layers next behind a value. */
  const behind = (value: string): ReadonlySet<Site> => {
    const found = new Set<Site>();
    const seen = new Set([value]);
    // A set takes in what is added while it is walked through.
    for (const name of seen) {
      const site = byValue.get(name);
      if (site) found.add(site);
      else for (const input of producer.get(name)?.input ?? []) if (input && !constants.has(input)) seen.add(input);
    }
    return found;
  };
  const nameOf = ({ path }: Site): string => path.split('.', 1)[0]!;
  const [last] = behind(output);
  if (!last) return undefined;
  const firsts = new Set<Site>();
  let hasOthers = false;
  const head = new Set(behind(output));
  for (const site of head) {
    const before = [...behind(site.input)];
    const own = before.filter((each) => nameOf(each) === nameOf(last));
    if (before.length > own.length) hasOthers = true;
    if (own.length === 0) firsts.add(site);
    for (const each of own) head.add(each);
  }
  const [first] = firsts;
  const isOne = first && [...firsts].every(({ input }) => input === first.input);
  return isOne && hasOthers && [...head].every((site) => nameOf(site) === nameOf(last)) ? first : undefined;
}
