/** @file Every adapted module is found in the graph under torch's own path, with torch's shape. */

import { SiteNames, withParts } from '@onnx-lora/sdk/core';
import { type ConformanceCase, mayBeAbsent } from '../case.ts';
import { type Check, failed, notApplicable, passed } from '../check.ts';
import { caseAdapter } from '../outputs.ts';

/** The check. */
export const discover: Check = {
  name: 'discover',
  async run(subject) {
    if (subject.adapted.length === 0) return notApplicable('the case adapts no module');
    const names = new SiteNames(withParts(subject.model.sites()), (await caseAdapter(subject)).config);
    // What is trained whole need be no layer.
    const named = new Set(subject.model.namedModules().map(({ path }) => path));
    const problems: string[] = [];
    let present = 0;
    for (const module of subject.adapted) {
      const shape = names.find(module)?.weightShape;
      const expected = torchShape(subject, module);
      if (!shape) {
        if (named.has(module)) present++;
        else if (!mayBeAbsent(subject, module)) problems.push(`${module} is not found`);
      } else if (expected && shape.join() !== expected.join()) {
        problems.push(`${module} is found with shape [${shape.join(', ')}], expected [${expected.join(', ')}]`);
      } else present++;
    }
    if (problems.length > 0) return failed(problems);
    const absent = subject.adapted.length - present;
    return passed(`${present} modules${absent > 0 ? `, ${absent} rightly absent` : ''}`);
  },
};

function torchShape({ modules }: ConformanceCase, module: string): readonly number[] | undefined {
  const entry = Object.hasOwn(modules, module) ? modules[module] : undefined;
  // GPT-2's Conv1D is a linear layer that stores its weight as [in, out].
  return entry && (entry[1] === 'Conv1D' ? entry[0].toReversed() : entry[0]);
}
