// Streamlit calls a component's script at every run of the page. What the script has set up for its
// element stays until the element goes.

// Return a component that calls `mount(root, data)` once, and at the end what that has returned.
export function once(mount) {
  const mounted = new WeakMap();
  return ({ data, parentElement }) => {
    if (!mounted.has(parentElement)) mounted.set(parentElement, mount(parentElement, data));
    return () => {
      mounted.get(parentElement)?.();
      mounted.delete(parentElement);
    };
  };
}
