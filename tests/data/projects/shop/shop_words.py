def column(status):
    return f"{status}_orders"
