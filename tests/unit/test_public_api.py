import opensearch_funnel


def test_what_the_package_exports_is_what_it_says() -> None:
    public = {name for name in vars(opensearch_funnel) if not name.startswith("_")}
    modules = {
        name for name in public if type(getattr(opensearch_funnel, name)).__name__ == "module"
    }
    assert public - modules == set(opensearch_funnel.__all__)
