// Where the page is: the part of the URL after #.

import { useEffect, useMemo, useState } from "preact/hooks";
import { parseAddress, type Address } from "../data/address";

export function go(href: string): void {
  if (location.hash !== href) location.hash = href;
}

export function useAddress(): Address {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const listen = (): void => setHash(location.hash);
    addEventListener("hashchange", listen);
    return () => removeEventListener("hashchange", listen);
  }, []);
  return useMemo(() => parseAddress(hash), [hash]);
}
